// gVisor's netstack over a TUN device, or over a packet socket on veth (the contract is in userstack/bench/contender.py).
//
//	gvisor DEVICE tun|veth ADDRESS/PREFIX KERNEL_ADDRESS MTU
//
// Its link endpoint for file descriptors (fdbased) knows segmentation offload on packet sockets alone: over TUN it moves single packets.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	echoPort    = 7
	discardPort = 9
	chargenPort = 19

	backlog = 4096
	nic     = 1
	// Octets that are offered to the stack, or taken from it to be echoed, at a time.
	block = 1 << 18
)

func fail(doing string, reason interface{}) {
	fmt.Fprintf(os.Stderr, "gvisor: cannot %s: %v\n", doing, reason)
	os.Exit(1)
}

// ---- the services ----

// sink is where what is discarded goes.
type sink struct{}

func (sink) Write(text []byte) (int, error) { return len(text), nil }

// conn is one connection, with blocking calls.
type conn struct {
	tcpip.Endpoint
	queue    *waiter.Queue
	readable chan struct{}
	writable chan struct{}
}

// await runs a call until it does not answer that it would block. False: the connection is at its end, or broken.
func await(ready chan struct{}, call func() tcpip.Error) bool {
	for {
		switch err := call(); err.(type) {
		case nil:
			return true
		case *tcpip.ErrWouldBlock:
			<-ready
		default:
			return false
		}
	}
}

func (c *conn) read(to io.Writer) bool {
	return await(c.readable, func() tcpip.Error {
		result, err := c.Read(to, tcpip.ReadOptions{})
		if err == nil {
			c.ModerateRecvBuf(result.Count)
		}
		return err
	})
}

func (c *conn) write(text []byte) bool {
	rest := bytes.NewReader(text)
	for rest.Len() > 0 {
		if !await(c.writable, func() tcpip.Error {
			_, err := c.Write(rest, tcpip.WriteOptions{})
			return err
		}) {
			return false
		}
	}
	return true
}

func echo(c *conn) {
	var text bytes.Buffer
	for c.read(&tcpip.LimitedWriter{W: &text, N: block}) && c.write(text.Bytes()) {
		if text.Cap() > block/4 {
			text = bytes.Buffer{}
		}
		text.Reset()
	}
}

func discard(c *conn) {
	for c.read(sink{}) {
	}
}

func chargen(c *conn) {
	text := make([]byte, block)
	for at := range text {
		text[at] = byte(' ' + at%95)
	}
	gone := make(chan struct{})
	go func() { // the peer's FIN ends it too
		discard(c)
		c.Shutdown(tcpip.ShutdownWrite)
		close(gone)
	}()
	for c.write(text) {
	}
	c.Shutdown(tcpip.ShutdownRead)
	<-gone
}

func run(c *conn, service func(*conn)) {
	readable, ready := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventHUp | waiter.EventErr)
	writable, room := waiter.NewChannelEntry(waiter.WritableEvents | waiter.EventHUp | waiter.EventErr)
	c.readable, c.writable = ready, room
	c.queue.EventRegister(&readable)
	c.queue.EventRegister(&writable)
	service(c)
	c.queue.EventUnregister(&readable)
	c.queue.EventUnregister(&writable)
	c.Close()
}

func serve(s *stack.Stack, port uint16, service func(*conn)) {
	var queue waiter.Queue
	listener, err := s.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err == nil {
		err = listener.Bind(tcpip.FullAddress{Port: port})
	}
	if err == nil {
		err = listener.Listen(backlog)
	}
	if err != nil {
		fail(fmt.Sprintf("listen at port %d", port), err)
	}
	entry, incoming := waiter.NewChannelEntry(waiter.ReadableEvents)
	queue.EventRegister(&entry)
	go func() {
		for {
			var c conn
			if !await(incoming, func() (err tcpip.Error) {
				c.Endpoint, c.queue, err = listener.Accept(nil)
				return err
			}) {
				continue
			}
			c.SocketOptions().SetDelayOption(false)
			go run(&c, service)
		}
	}()
}

// ---- the device ----

type request struct {
	name  [unix.IFNAMSIZ]byte
	flags uint16
	_     [22]byte
}

func openTun(name string) int {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		fail("open /dev/net/tun", err)
	}
	r := request{flags: unix.IFF_TUN | unix.IFF_NO_PI}
	copy(r.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&r))); errno != 0 {
		fail("make the TUN device", errno)
	}
	return fd
}

func openPacketSocket(device *net.Interface) int {
	const everything = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		fail("open a packet socket", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		fail("set PACKET_VNET_HDR", err)
	}
	for _, option := range []int{unix.SO_RCVBUFFORCE, unix.SO_SNDBUFFORCE} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 4<<20); err != nil {
			fail("set the packet socket's buffers", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: device.Index}); err != nil {
		fail("bind the packet socket", err)
	}
	return fd
}

func openLink(name, mode string, mtu uint32) stack.LinkEndpoint {
	options := fdbased.Options{MTU: mtu}
	if mode == "tun" {
		options.FDs = []int{openTun(name)}
		fmt.Println("device")
	} else {
		device, err := net.InterfaceByName(name)
		if err != nil {
			fail("find the device "+name, err)
		}
		options.FDs = []int{openPacketSocket(device)}
		options.EthernetHeader = true
		options.Address = tcpip.LinkAddress(device.HardwareAddr)
		// The kernel segments (PACKET_VNET_HDR); segments cut by the stack itself (GvisorGSOEnabled) cost more. A ring of received
		// packets (PacketMMap) would take a little less than recvmmsg does, but holds 32: 64 clients that connect at once lose SYNs.
		// Checksums that come in are partial on veth.
		options.GSOMaxSize = 65536
		options.PacketDispatchMode = fdbased.RecvMMsg
		options.RXChecksumOffload = true
	}
	endpoint, err := fdbased.New(&options)
	if err != nil {
		fail("make the link endpoint", err)
	}
	return endpoint
}

func set(s *stack.Stack, option tcpip.SettableTransportProtocolOption) {
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
		fail("set an option of TCP", err)
	}
}

func main() {
	if len(os.Args) != 6 || os.Args[2] != "tun" && os.Args[2] != "veth" {
		fail("go on", "arguments are DEVICE tun|veth ADDRESS/PREFIX KERNEL_ADDRESS MTU")
	}
	own, network, err := net.ParseCIDR(os.Args[3])
	gateway := net.ParseIP(os.Args[4]).To4()
	mtu, mtuErr := strconv.ParseUint(os.Args[5], 10, 16)
	if err != nil || own.To4() == nil || gateway == nil || mtuErr != nil {
		fail("go on", "not an address, or not an MTU")
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	// What gVisor's own sandbox switches on, and the kernel's congestion control.
	sack, moderate := tcpip.TCPSACKEnabled(true), tcpip.TCPModerateReceiveBufferOption(true)
	congestion := tcpip.CongestionControlOption("cubic")
	set(s, &sack)
	set(s, &moderate)
	set(s, &congestion)
	link := openLink(os.Args[1], os.Args[2], uint32(mtu))
	if err := s.CreateNIC(nic, link); err != nil {
		fail("make the interface", err)
	}
	prefix, _ := network.Mask.Size()
	address := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.Address(own.To4()), PrefixLen: prefix},
	}
	if err := s.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
		fail("give the interface its address", err)
	}
	s.SetRouteTable([]tcpip.Route{
		{Destination: address.AddressWithPrefix.Subnet(), NIC: nic},
		{Destination: header.IPv4EmptySubnet, Gateway: tcpip.Address(gateway), NIC: nic},
	})
	serve(s, echoPort, echo)
	serve(s, discardPort, discard)
	serve(s, chargenPort, chargen)
	fmt.Println("ready")
	select {}
}
