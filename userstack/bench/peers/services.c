/* The three services on the kernel's sockets: what a proxy such as pasta connects its clients to.
 *
 *     services ADDRESS
 *
 * One process, one epoll: it serves at ADDRESS in its own namespace, and prints "ready" once it listens at all three ports.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO = 7, DISCARD = 9, CHARGEN = 19 };
enum { BACKLOG = 4096, BATCH = 256, BLOCK = 1 << 18 };

/* A socket: of a listener the port is negative. Unsent is what echo could not get rid of yet; while it lasts, nothing more is read. */
struct one {
    int descriptor;
    int port;
    int closed;
    size_t unsent, at;
    char *text;
};

static int poller;
static char block[BLOCK];

static void fail(const char *doing)
{
    fprintf(stderr, "services: cannot %s: %s\n", doing, strerror(errno));
    exit(1);
}

static void watch(struct one *one, int operation, unsigned events)
{
    struct epoll_event event = { .events = events, .data.ptr = one };

    if (epoll_ctl(poller, operation, one->descriptor, &event) < 0)
        fail("watch a socket");
}

static void add(int descriptor, int port)
{
    struct one *one = calloc(1, sizeof *one);

    if (!one)
        fail("find memory");
    one->descriptor = descriptor;
    one->port = port;
    watch(one, EPOLL_CTL_ADD, port == CHARGEN ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void drop(struct one *one)
{
    close(one->descriptor);
    free(one->text);
    free(one);
}

static void listen_at(struct in_addr address, int port)
{
    struct sockaddr_in place = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address };
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (listener < 0)
        fail("make a socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&place, sizeof place) < 0 || listen(listener, BACKLOG) < 0)
        fail("listen");
    add(listener, -port);
}

static void accept_all(const struct one *listener)
{
    int on = 1, descriptor;

    while ((descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        add(descriptor, -listener->port);
    }
}

static int would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* Each service returns whether the connection goes on. */

static int echo(struct one *one)
{
    while (one->unsent) {
        ssize_t sent = send(one->descriptor, one->text + one->at, one->unsent, MSG_NOSIGNAL);

        if (sent < 0)
            return would_block();
        one->at += sent;
        one->unsent -= sent;
        if (!one->unsent)
            watch(one, EPOLL_CTL_MOD, EPOLLIN);
    }
    for (;;) {
        ssize_t sent, size = recv(one->descriptor, block, sizeof block, 0);

        if (size <= 0)
            return size < 0 && would_block();
        sent = send(one->descriptor, block, size, MSG_NOSIGNAL);
        if (sent < 0 && !would_block())
            return 0;
        if (sent < 0)
            sent = 0;
        if (sent < size) {
            if (!one->text && !(one->text = malloc(sizeof block)))
                fail("find memory");
            one->at = 0;
            one->unsent = size - sent;
            memcpy(one->text, block + sent, one->unsent);
            watch(one, EPOLL_CTL_MOD, EPOLLOUT);
            return 1;
        }
        if (size < (ssize_t)sizeof block)
            return 1; /* no need to hear that there is no more */
    }
}

static int discard(struct one *one)
{
    ssize_t size = recv(one->descriptor, block, sizeof block, MSG_TRUNC);

    return size > 0 || (size < 0 && would_block());
}

static int chargen(struct one *one, unsigned events)
{
    static char characters[BLOCK];

    if (!characters[0])
        for (size_t at = 0; at < sizeof characters; at++)
            characters[at] = ' ' + at % 95;
    if (events & EPOLLIN && !discard(one))
        return 0;
    return send(one->descriptor, characters, sizeof characters, MSG_NOSIGNAL) > 0 || would_block();
}

static void serve(struct one *one, unsigned events)
{
    int goes_on = 1;

    if (one->port < 0)
        accept_all(one);
    else if (one->port == ECHO)
        goes_on = echo(one);
    else if (one->port == DISCARD)
        goes_on = discard(one);
    else
        goes_on = chargen(one, events);
    if (!goes_on)
        drop(one);
}

int main(int argc, char **argv)
{
    struct epoll_event events[BATCH];
    struct rlimit files;
    struct in_addr address;

    if (argc != 2 || !inet_aton(argv[1], &address)) {
        fprintf(stderr, "services: the argument is an IPv4 address\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(EPOLL_CLOEXEC);
    listen_at(address, ECHO);
    listen_at(address, DISCARD);
    listen_at(address, CHARGEN);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(poller, events, BATCH, -1);

        for (int at = 0; at < count; at++)
            serve(events[at].data.ptr, events[at].events);
    }
}
