package wire

import (
	"math"

	"conclave/overlay/wire/internal/pb"
)

func decodeMailItem(p *pb.MailItem) (MailItem, error) {
	to, err := decodePeer(p.To)
	if err != nil || p.Kind > math.MaxUint8 {
		return MailItem{}, ErrMessage
	}
	return MailItem{To: to, Kind: Kind(p.Kind), Payload: p.Payload}, checkMail(Kind(p.Kind), p.Payload)
}

func encodeMailItem(m MailItem) (*pb.MailItem, error) {
	to, err := encodePeer(m.To)
	if err != nil {
		return nil, err
	}
	return &pb.MailItem{To: to, Kind: uint32(m.Kind), Payload: m.Payload}, checkMail(m.Kind, m.Payload)
}

// checkMail wants a known kind and a payload. A payload over its kind's cap still parses, as long as the message has
// room for it, so that the relay node can refuse that one item by name.
func checkMail(k Kind, payload []byte) error {
	if k.MaxPayload() == 0 || len(payload) == 0 {
		return ErrMessage
	}
	return nil
}

func decodeDeposit(p *pb.Deposit) (*Deposit, error) {
	items, err := each(p.Items, decodeMailItem)
	if len(items) == 0 && err == nil {
		err = ErrMessage
	}
	return &Deposit{Seq: p.Seq, Items: items}, err
}

func encodeDeposit(m *Deposit) (*pb.Deposit, error) {
	if len(m.Items) == 0 || len(m.Items) > MaxMailItems {
		return nil, ErrMessage
	}
	items, err := each(m.Items, encodeMailItem)
	return &pb.Deposit{Seq: m.Seq, Items: items}, err
}

func decodeDepositResult(p *pb.DepositResult) (*DepositResult, error) {
	if len(p.Verdicts) > MaxMailItems {
		return nil, ErrMessage
	}
	m := &DepositResult{Seq: p.Seq, Verdicts: make([]Verdict, len(p.Verdicts))}
	for i, v := range p.Verdicts {
		m.Verdicts[i] = Verdict(v)
	}
	return m, exactly(m.Database[:], p.Database)
}

func encodeDepositResult(m *DepositResult) (*pb.DepositResult, error) {
	if len(m.Verdicts) > MaxMailItems {
		return nil, ErrMessage
	}
	verdicts := make([]byte, len(m.Verdicts))
	for i, v := range m.Verdicts {
		verdicts[i] = byte(v)
	}
	return &pb.DepositResult{Seq: m.Seq, Verdicts: verdicts, Database: m.Database[:]}, nil
}

func decodeMail(p *pb.Mail) (Mail, error) {
	from, err := decodePeer(p.From)
	if err != nil || p.Kind > math.MaxUint8 {
		return Mail{}, ErrMessage
	}
	return Mail{From: from, Kind: Kind(p.Kind), Payload: p.Payload}, checkMail(Kind(p.Kind), p.Payload)
}

func encodeMail(m Mail) (*pb.Mail, error) {
	from, err := encodePeer(m.From)
	if err != nil {
		return nil, err
	}
	return &pb.Mail{From: from, Kind: uint32(m.Kind), Payload: m.Payload}, checkMail(m.Kind, m.Payload)
}

func decodeDelivery(p *pb.Delivery) (*Delivery, error) {
	mails, err := each(p.Mails, decodeMail)
	return &Delivery{Mails: mails}, err
}

func encodeDelivery(m *Delivery) (*pb.Delivery, error) {
	if len(m.Mails) > MaxMailItems {
		return nil, ErrMessage
	}
	mails, err := each(m.Mails, encodeMail)
	return &pb.Delivery{Mails: mails}, err
}

func decodeDeliveryAck(p *pb.DeliveryAck) (*DeliveryAck, error) {
	ids, err := each(p.Ids, decodeMailID)
	return &DeliveryAck{IDs: ids}, err
}

func encodeDeliveryAck(m *DeliveryAck) (*pb.DeliveryAck, error) {
	if len(m.IDs) > MaxListItems {
		return nil, ErrMessage
	}
	ids, err := each(m.IDs, func(id MailID) ([]byte, error) { return id[:], nil })
	return &pb.DeliveryAck{Ids: ids}, err
}

func decodeMailID(b []byte) (MailID, error) {
	var id MailID
	err := exactly(id[:], b)
	return id, err
}
