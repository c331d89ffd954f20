package wire

import "conclave/overlay/wire/internal/pb"

func decodeHello(p *pb.Hello) (*Hello, error) {
	m := &Hello{
		Protocol: p.Protocol, TimeMs: p.TimeMs, RosterVersion: p.RosterVersion,
		Certificate: p.Certificate, Roster: p.Roster, Signature: p.Signature,
	}
	if err := exactly(m.Nonce[:], p.Nonce); err != nil {
		return nil, err
	}
	return m, checkHello(p.Certificate, p.Roster, p.Signature)
}

func encodeHello(m *Hello) (*pb.Hello, error) {
	return &pb.Hello{
		Protocol: m.Protocol, Nonce: m.Nonce[:], TimeMs: m.TimeMs, RosterVersion: m.RosterVersion,
		Certificate: m.Certificate, Roster: m.Roster, Signature: m.Signature,
	}, checkHello(m.Certificate, m.Roster, m.Signature)
}

func decodeHelloReply(p *pb.HelloReply) (*HelloReply, error) {
	m := &HelloReply{
		Protocol: p.Protocol, TimeMs: p.TimeMs, RosterVersion: p.RosterVersion,
		Certificate: p.Certificate, Roster: p.Roster, Signature: p.Signature,
	}
	if err := exactly(m.Nonce[:], p.Nonce); err != nil {
		return nil, err
	}
	if err := exactly(m.Database[:], p.Database); err != nil {
		return nil, err
	}
	return m, checkHello(p.Certificate, p.Roster, p.Signature)
}

func encodeHelloReply(m *HelloReply) (*pb.HelloReply, error) {
	return &pb.HelloReply{
		Protocol: m.Protocol, Nonce: m.Nonce[:], TimeMs: m.TimeMs, RosterVersion: m.RosterVersion,
		Certificate: m.Certificate, Roster: m.Roster, Database: m.Database[:], Signature: m.Signature,
	}, checkHello(m.Certificate, m.Roster, m.Signature)
}

func checkHello(certificate, roster, sig []byte) error {
	if len(certificate) == 0 || len(certificate) > MaxCertificate || len(roster) > MaxRosterEnvelope {
		return ErrMessage
	}
	_, err := signature(sig)
	return err
}

func decodeFinish(p *pb.Finish) (*Finish, error) {
	sig, err := signature(p.Signature)
	return &Finish{Signature: sig}, err
}

func encodeFinish(m *Finish) (*pb.Finish, error) {
	sig, err := signature(m.Signature)
	return &pb.Finish{Signature: sig}, err
}

func decodeRefusal(p *pb.Refusal) (*Refusal, error) {
	if p.Code == 0 || p.Code > 0xff || len(p.Text) > MaxRefusalText {
		return nil, ErrMessage
	}
	return &Refusal{Seq: p.Seq, Code: RefusalCode(p.Code), Text: p.Text, TimeMs: p.TimeMs}, nil
}

func encodeRefusal(m *Refusal) (*pb.Refusal, error) {
	if m.Code == 0 || len(m.Text) > MaxRefusalText {
		return nil, ErrMessage
	}
	return &pb.Refusal{Seq: m.Seq, Code: uint32(m.Code), Text: m.Text, TimeMs: m.TimeMs}, nil
}

func decodeRosterUpdate(p *pb.RosterUpdate) (*RosterUpdate, error) {
	if len(p.Envelope) == 0 || len(p.Envelope) > MaxRosterEnvelope {
		return nil, ErrMessage
	}
	return &RosterUpdate{Envelope: p.Envelope}, nil
}

func encodeRosterUpdate(m *RosterUpdate) (*pb.RosterUpdate, error) {
	if len(m.Envelope) == 0 || len(m.Envelope) > MaxRosterEnvelope {
		return nil, ErrMessage
	}
	return &pb.RosterUpdate{Envelope: m.Envelope}, nil
}

func decodePresence(p *pb.Presence) (*Presence, error) {
	online, err := each(p.Online, decodePeer)
	return &Presence{Online: online}, err
}

func encodePresence(m *Presence) (*pb.Presence, error) {
	online, err := each(m.Online, encodePeer)
	return &pb.Presence{Online: online}, err
}

func decodePing(p *pb.Ping) (*Ping, error) { return &Ping{Nonce: p.Nonce}, nil }
func encodePing(m *Ping) (*pb.Ping, error) { return &pb.Ping{Nonce: m.Nonce}, nil }
func decodePong(p *pb.Pong) (*Pong, error) { return &Pong{Nonce: p.Nonce}, nil }
func encodePong(m *Pong) (*pb.Pong, error) { return &pb.Pong{Nonce: m.Nonce}, nil }
func decodeShareReply(p *pb.ShareReply) (*ShareReply, error) {
	return &ShareReply{Accepted: p.Accepted}, nil
}

func encodeShareReply(m *ShareReply) (*pb.ShareReply, error) {
	return &pb.ShareReply{Accepted: m.Accepted}, nil
}

func decodeShareMessage(p *pb.ShareMessage) (*ShareMessage, error) {
	return &ShareMessage{Items: p.Items}, checkItems(p.Items, MaxShareItems, MaxShareEnvelope)
}

func encodeShareMessage(m *ShareMessage) (*pb.ShareMessage, error) {
	return &pb.ShareMessage{Items: m.Items}, checkItems(m.Items, MaxShareItems, MaxShareEnvelope)
}

// checkItems wants 1 to most items of 1 to size bytes.
func checkItems(items [][]byte, most, size int) error {
	if len(items) == 0 || len(items) > most {
		return ErrMessage
	}
	for _, item := range items {
		if len(item) == 0 || len(item) > size {
			return ErrMessage
		}
	}
	return nil
}
