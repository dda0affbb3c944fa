/* lwIP over a TUN device without offload (the contract is in userstack/bench/contender.py).
 *
 *     lwip DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU
 *
 * Debian's lwIP is built with an operating system layer (NO_SYS 0), but its thread is never started here: one loop of ours reads the
 * device, hands packets to ip_input and runs the timers, as a NO_SYS program does. No locks are contended, no mailbox is crossed; that
 * is the fastest this build goes. The sockets are lwIP's raw callbacks for the same reason.
 *
 * Packets are received into PBUF_RAM: the buffers of this build's PBUF_POOL are smaller than a packet of 1500 bytes, and are overrun.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>

enum { ECHO = 7, DISCARD = 9, CHARGEN = 19 };
enum { BATCH = 64 }; /* packets between two looks at the timers */

static int device;
static struct netif interface;
static char characters[TCP_SND_BUF];

static void fail(const char *what)
{
    fprintf(stderr, "lwip: cannot %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- what a port of lwIP may bring of its own; these take the place of the library's ---- */

/* The Internet checksum (RFC 1071), not yet inverted, 32 bits at a time; the library's takes 16. */
u16_t lwip_standard_chksum(const void *data, int length)
{
    const unsigned char *at = data;
    u64_t sum = 0;
    u32_t word;
    u16_t half = 0;

    for (; length >= 16; length -= 16, at += 16) {
        u32_t words[4];

        memcpy(words, at, sizeof words);
        sum += (u64_t)words[0] + words[1] + words[2] + words[3];
    }
    for (; length >= 4; length -= 4, at += 4) {
        memcpy(&word, at, sizeof word);
        sum += word;
    }
    if (length >= 2) {
        memcpy(&half, at, sizeof half);
        sum += half;
        at += 2;
        length -= 2;
    }
    if (length) {
        half = 0;
        memcpy(&half, at, 1);
        sum += half;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (u16_t)sum;
}

/* There is one thread: nothing to protect from another. */
sys_prot_t sys_arch_protect(void)
{
    return 0;
}

void sys_arch_unprotect(sys_prot_t before)
{
    (void)before;
}

/* ---- the services ---- */

struct echo {
    struct pbuf *waiting; /* received, not yet taken by tcp_write */
    int closed;           /* the peer has sent its FIN */
};

static err_t close_or_try_later(struct tcp_pcb *pcb)
{
    if (tcp_close(pcb) != ERR_OK)
        return ERR_OK; /* tcp_poll comes back */
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, NULL);
    tcp_sent(pcb, NULL);
    tcp_err(pcb, NULL);
    tcp_poll(pcb, NULL, 0);
    return ERR_OK;
}

/* Write what waits as far as it fits; what is written is consumed, so that the peer's window follows. */
static err_t echo_go_on(struct echo *echo, struct tcp_pcb *pcb)
{
    while (echo->waiting) {
        struct pbuf *first = echo->waiting;
        u16_t length = first->len;

        if (length > tcp_sndbuf(pcb))
            length = tcp_sndbuf(pcb);
        if (!length || tcp_write(pcb, first->payload, length, TCP_WRITE_FLAG_COPY) != ERR_OK)
            return ERR_OK;
        tcp_recved(pcb, length);
        echo->waiting = pbuf_free_header(first, length);
    }
    if (echo->closed) {
        free(echo);
        tcp_arg(pcb, NULL);
        return close_or_try_later(pcb);
    }
    return ERR_OK;
}

static err_t echo_received(void *arg, struct tcp_pcb *pcb, struct pbuf *text, err_t error)
{
    struct echo *echo = arg;

    (void)error;
    if (!echo) {
        if (text) {
            tcp_recved(pcb, text->tot_len);
            pbuf_free(text);
        }
        return close_or_try_later(pcb);
    }
    if (!text)
        echo->closed = 1;
    else if (echo->waiting)
        pbuf_cat(echo->waiting, text);
    else
        echo->waiting = text;
    return echo_go_on(echo, pcb);
}

static err_t echo_polled(void *arg, struct tcp_pcb *pcb)
{
    return arg ? echo_go_on(arg, pcb) : close_or_try_later(pcb);
}

static err_t echo_sent(void *arg, struct tcp_pcb *pcb, u16_t length)
{
    (void)length;
    return arg ? echo_go_on(arg, pcb) : ERR_OK;
}

static void echo_broken(void *arg, err_t error)
{
    struct echo *echo = arg;

    (void)error;
    if (echo && echo->waiting)
        pbuf_free(echo->waiting);
    free(echo);
}

static err_t echo_accept(void *arg, struct tcp_pcb *pcb, err_t error)
{
    struct echo *echo;

    (void)arg;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    echo = calloc(1, sizeof *echo);
    if (!echo)
        return ERR_MEM;
    tcp_nagle_disable(pcb);
    tcp_arg(pcb, echo);
    tcp_recv(pcb, echo_received);
    tcp_sent(pcb, echo_sent);
    tcp_poll(pcb, echo_polled, 2);
    tcp_err(pcb, echo_broken);
    return ERR_OK;
}

static err_t finish_polled(void *arg, struct tcp_pcb *pcb)
{
    return arg ? close_or_try_later(pcb) : ERR_OK;
}

/* Discard, and what a client may say to chargen: read; at the end close. */
static err_t discard_received(void *arg, struct tcp_pcb *pcb, struct pbuf *text, err_t error)
{
    (void)arg;
    (void)error;
    if (!text) {
        tcp_arg(pcb, &interface); /* any mark but NULL: closing */
        return close_or_try_later(pcb);
    }
    tcp_recved(pcb, text->tot_len);
    pbuf_free(text);
    return ERR_OK;
}

static err_t discard_accept(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, discard_received);
    tcp_poll(pcb, finish_polled, 2);
    return ERR_OK;
}

/* Fill the send buffer. Whole segments only, as long as the peer takes more: an odd rest would become a small segment each time. */
static err_t chargen_sent(void *arg, struct tcp_pcb *pcb, u16_t length)
{
    u16_t mss = tcp_mss(pcb), room = tcp_sndbuf(pcb) / mss * mss;

    (void)length;
    if (!arg && room && tcp_sndqueuelen(pcb) < TCP_SND_QUEUELEN - 2)
        tcp_write(pcb, characters, room, 0);
    return ERR_OK;
}

static err_t chargen_polled(void *arg, struct tcp_pcb *pcb)
{
    if (arg)
        return close_or_try_later(pcb);
    chargen_sent(NULL, pcb, 0);
    return tcp_output(pcb);
}

static err_t chargen_accept(void *arg, struct tcp_pcb *pcb, err_t error)
{
    (void)arg;
    if (error != ERR_OK || !pcb)
        return ERR_VAL;
    tcp_arg(pcb, NULL);
    tcp_recv(pcb, discard_received);
    tcp_sent(pcb, chargen_sent);
    tcp_poll(pcb, chargen_polled, 2);
    return chargen_sent(NULL, pcb, 0);
}

static void serve(u16_t port, tcp_accept_fn accept)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_V4);

    if (!pcb || tcp_bind(pcb, IP4_ADDR_ANY, port) != ERR_OK || !(pcb = tcp_listen(pcb))) {
        fprintf(stderr, "lwip: cannot listen at port %u\n", port);
        exit(1);
    }
    tcp_accept(pcb, accept);
}

/* ---- the device ---- */

static void open_device(const char *name)
{
    struct ifreq request;

    device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (device < 0)
        fail("open /dev/net/tun");
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(device, TUNSETIFF, &request) < 0)
        fail("make the TUN device");
}

/* This build makes one buffer of every packet that it sends (LWIP_NETIF_TX_SINGLE_PBUF); the other case is for fragments. */
static err_t send_packet(struct netif *netif, struct pbuf *packet, const ip4_addr_t *next)
{
    static char room[65536];
    const void *octets = packet->payload;

    (void)netif;
    (void)next;
    if (packet->next)
        octets = pbuf_get_contiguous(packet, room, sizeof room, packet->tot_len, 0);
    return write(device, octets, packet->tot_len) < 0 ? ERR_BUF : ERR_OK;
}

static err_t prepare_interface(struct netif *netif)
{
    netif->name[0] = 't';
    netif->name[1] = 'u';
    netif->output = send_packet;
    netif->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
    return ERR_OK;
}

static void place_interface(char *address, const char *kernel, int mtu)
{
    char *slash = strchr(address, '/');
    int prefix = slash ? atoi(slash + 1) : 32;
    ip4_addr_t own, mask, gateway;

    if (slash)
        *slash = '\0';
    if (!ip4addr_aton(address, &own) || !ip4addr_aton(kernel, &gateway) || prefix < 1 || prefix > 32) {
        fprintf(stderr, "lwip: not an address: %s, %s\n", address, kernel);
        exit(2);
    }
    ip4_addr_set_u32(&mask, lwip_htonl(0xffffffffu << (32 - prefix)));
    netif_add(&interface, &own, &mask, &gateway, NULL, prepare_interface, ip_input);
    interface.mtu = mtu;
    netif_set_default(&interface);
}

/* Take what the device has, at most a batch. Returns whether there may be more. */
static int take_batch(u16_t largest)
{
    static struct pbuf *packet;
    int count;

    for (count = 0; count < BATCH; count++) {
        ssize_t size;

        if (!packet && !(packet = pbuf_alloc(PBUF_RAW, largest, PBUF_RAM)))
            return 1;
        size = read(device, packet->payload, largest);
        if (size < 0) {
            if (errno != EAGAIN && errno != EINTR)
                fail("read the device");
            return 0;
        }
        packet->len = packet->tot_len = size;
        if (ip_input(packet, &interface) != ERR_OK)
            pbuf_free(packet);
        packet = NULL;
    }
    return 1;
}

int main(int argc, char **argv)
{
    struct pollfd readable;
    int mtu;
    size_t at;

    if (argc != 6 || strcmp(argv[2], "tun") || (mtu = atoi(argv[5])) < 576 || mtu > 65535) {
        fprintf(stderr, "lwip: arguments are DEVICE tun ADDRESS/PREFIX KERNEL_ADDRESS MTU\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (at = 0; at < sizeof characters; at++)
        characters[at] = ' ' + at % 95;
    open_device(argv[1]);
    puts("device");
    lwip_init();
    place_interface(argv[3], argv[4], mtu);
    serve(ECHO, echo_accept);
    serve(DISCARD, discard_accept);
    serve(CHARGEN, chargen_accept);
    puts("ready");
    readable.fd = device;
    readable.events = POLLIN;
    for (;;) {
        int more = take_batch(mtu);

        sys_check_timeouts();
        if (!more) {
            u32_t wait = sys_timeouts_sleeptime();

            poll(&readable, 1, wait == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? -1 : (int)wait);
        }
    }
}
