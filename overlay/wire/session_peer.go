package wire

import (
	"math"
	"time"

	"conclave/overlay/wire/internal/pb"

	"github.com/libp2p/go-libp2p/core/peer"
)

// maxCollected is how many mails one Collected names: one field is the recipient's.
const maxCollected = MaxListItems - 1

// maxCopies is how many batches one Copied carries: two fields are not batches.
const maxCopies = MaxListItems - 2

// ForwardedMail is a mail on its way to a member that is at another relay node.
type ForwardedMail struct {
	From    peer.ID // as the relay node says that forwards it
	To      peer.ID
	Kind    Kind
	Payload []byte
}

// ID names the mail.
func (m *ForwardedMail) ID() MailID { return MailIDOf(m.From, m.To, m.Kind, m.Payload) }

// Forward hands mail to the relay node at which its recipients are. It stays where it lies until they acknowledge it.
type Forward struct {
	Mails []ForwardedMail
}

// Collected tells the relay node that forwarded mail that its recipient holds it durably.
type Collected struct {
	By  peer.ID // the recipient
	IDs []MailID
}

// Copy is a batch and how long ago it came to the relay node that gives it, in whole seconds.
type Copy struct {
	Batch []byte
	Age   time.Duration
}

// Copied answers a relay node's Fetch. More says that the range goes on after the last batch given.
type Copied struct {
	Seq    uint64
	Copies []Copy
	More   bool
}

// Type returns TypeForward.
func (*Forward) Type() MessageType { return TypeForward }

// Type returns TypeCollected.
func (*Collected) Type() MessageType { return TypeCollected }

// Type returns TypeCopied.
func (*Copied) Type() MessageType { return TypeCopied }

func decodeForward(p *pb.Forward) (*Forward, error) {
	mails, err := each(p.Mails, func(m *pb.ForwardedMail) (ForwardedMail, error) {
		mail, err := decodeMail(&pb.Mail{From: m.From, Kind: m.Kind, Payload: m.Payload})
		if err != nil {
			return ForwardedMail{}, err
		}
		to, err := decodePeer(m.To)
		return ForwardedMail{From: mail.From, To: to, Kind: mail.Kind, Payload: mail.Payload}, err
	})
	if len(mails) == 0 && err == nil {
		err = ErrMessage
	}
	return &Forward{Mails: mails}, err
}

func encodeForward(m *Forward) (*pb.Forward, error) {
	if len(m.Mails) == 0 || len(m.Mails) > MaxMailItems {
		return nil, ErrMessage
	}
	mails, err := each(m.Mails, func(m ForwardedMail) (*pb.ForwardedMail, error) {
		p, err := encodeMail(Mail{From: m.From, Kind: m.Kind, Payload: m.Payload})
		if err != nil {
			return nil, err
		}
		to, err := encodePeer(m.To)
		return &pb.ForwardedMail{From: p.From, To: to, Kind: p.Kind, Payload: p.Payload}, err
	})
	return &pb.Forward{Mails: mails}, err
}

func decodeCollected(p *pb.Collected) (*Collected, error) {
	by, err := decodePeer(p.By)
	if err != nil || len(p.Ids) == 0 {
		return nil, ErrMessage
	}
	ids, err := each(p.Ids, decodeMailID)
	return &Collected{By: by, IDs: ids}, err
}

func encodeCollected(m *Collected) (*pb.Collected, error) {
	if len(m.IDs) == 0 || len(m.IDs) > maxCollected {
		return nil, ErrMessage
	}
	by, err := encodePeer(m.By)
	if err != nil {
		return nil, err
	}
	ids, err := each(m.IDs, func(id MailID) ([]byte, error) { return id[:], nil })
	return &pb.Collected{By: by, Ids: ids}, err
}

func decodeCopied(p *pb.Copied) (*Copied, error) {
	copies, err := each(p.Copies, func(c *pb.Copy) (Copy, error) {
		if c.AgeS > math.MaxUint32 || len(c.Batch) == 0 || len(c.Batch) > MaxBatch {
			return Copy{}, ErrMessage
		}
		return Copy{Batch: c.Batch, Age: time.Duration(c.AgeS) * time.Second}, nil
	})
	return &Copied{Seq: p.Seq, Copies: copies, More: p.More}, err
}

func encodeCopied(m *Copied) (*pb.Copied, error) {
	if len(m.Copies) > maxCopies {
		return nil, ErrMessage
	}
	copies, err := each(m.Copies, func(c Copy) (*pb.Copy, error) {
		if c.Age < 0 || c.Age/time.Second > math.MaxUint32 || len(c.Batch) == 0 || len(c.Batch) > MaxBatch {
			return nil, ErrMessage
		}
		return &pb.Copy{Batch: c.Batch, AgeS: uint64(c.Age / time.Second)}, nil
	})
	return &pb.Copied{Seq: m.Seq, Copies: copies, More: m.More}, err
}
