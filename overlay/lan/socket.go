package lan

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// socket is one family's multicast socket.
type socket interface {
	join(i net.Interface) error
	leave(i net.Interface)
	send(i net.Interface, data []byte) error
	// receive returns a packet, the index of the interface it came over (0: unknown), and who sent it.
	receive(buf []byte) (n, index int, from netip.Addr, err error)
	close() error
}

var (
	group4 = &net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: port}
	group6 = &net.UDPAddr{IP: net.ParseIP("ff02::fb"), Port: port}
)

// sockets opens one for each family that the machine has. Several processes may do so at once. Nothing is joined yet.
func sockets() ([]socket, error) {
	four, err4 := open4()
	six, err6 := open6()
	switch {
	case err4 != nil && err6 != nil:
		return nil, errors.Join(err4, err6)
	case err4 != nil:
		return []socket{six}, nil
	case err6 != nil:
		return []socket{four}, nil
	}
	return []socket{four, six}, nil
}

type socket4 struct {
	conn *net.UDPConn
	p    *ipv4.PacketConn
}

func open4() (socket, error) {
	// A multicast address makes the library share the port; it listens on all addresses and joins nothing.
	conn, err := net.ListenUDP("udp4", group4)
	if err != nil {
		return nil, err
	}
	s := &socket4{conn, ipv4.NewPacketConn(conn)}
	_ = s.p.SetControlMessage(ipv4.FlagInterface, true) // where it is not to be had, the interface is unknown
	_ = s.p.SetMulticastLoopback(true)                  // other members on this machine; on by default
	_ = s.p.SetMulticastTTL(255)                        // RFC 6762 section 11; routers pass this group on at no TTL
	return s, nil
}

func (s *socket4) join(i net.Interface) error { return s.p.JoinGroup(&i, group4) }
func (s *socket4) leave(i net.Interface)      { _ = s.p.LeaveGroup(&i, group4) } // it may have gone
func (s *socket4) close() error               { return s.conn.Close() }

func (s *socket4) send(i net.Interface, data []byte) error {
	// The message's interface alone does not choose it everywhere.
	if err := s.p.SetMulticastInterface(&i); err != nil {
		return err
	}
	_, err := s.p.WriteTo(data, nil, group4)
	return err
}

func (s *socket4) receive(buf []byte) (n, index int, from netip.Addr, err error) {
	n, cm, src, err := s.p.ReadFrom(buf)
	if cm != nil {
		index = cm.IfIndex
	}
	return n, index, sender(src), err
}

type socket6 struct {
	conn *net.UDPConn
	p    *ipv6.PacketConn
}

func open6() (socket, error) {
	conn, err := net.ListenUDP("udp6", group6)
	if err != nil {
		return nil, err
	}
	s := &socket6{conn, ipv6.NewPacketConn(conn)}
	_ = s.p.SetControlMessage(ipv6.FlagInterface, true)
	_ = s.p.SetMulticastLoopback(true)
	_ = s.p.SetMulticastHopLimit(255)
	return s, nil
}

func (s *socket6) join(i net.Interface) error { return s.p.JoinGroup(&i, group6) }
func (s *socket6) leave(i net.Interface)      { _ = s.p.LeaveGroup(&i, group6) }
func (s *socket6) close() error               { return s.conn.Close() }

func (s *socket6) send(i net.Interface, data []byte) error {
	if err := s.p.SetMulticastInterface(&i); err != nil {
		return err
	}
	_, err := s.p.WriteTo(data, nil, group6)
	return err
}

func (s *socket6) receive(buf []byte) (n, index int, from netip.Addr, err error) {
	n, cm, src, err := s.p.ReadFrom(buf)
	if cm != nil {
		index = cm.IfIndex
	}
	return n, index, sender(src), err
}

func sender(a net.Addr) netip.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return u.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}
