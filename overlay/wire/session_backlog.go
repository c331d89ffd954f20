package wire

import (
	"errors"
	"math"

	"conclave/overlay/wire/internal/pb"
)

func decodeStore(p *pb.Store) (*Store, error) {
	return &Store{Batches: p.Batches}, checkItems(p.Batches, MaxListItems, MaxBatch)
}

func encodeStore(m *Store) (*pb.Store, error) {
	return &pb.Store{Batches: m.Batches}, checkItems(m.Batches, MaxListItems, MaxBatch)
}

func decodeStored(p *pb.Stored) (*Stored, error) {
	ids, err := each(p.Ids, decodeBatchID)
	if err != nil {
		return nil, err
	}
	refused, err := each(p.Refused, func(r *pb.RefusedBatch) (RefusedBatch, error) {
		id, err := decodeBatchID(r.Id)
		if err != nil || r.Verdict > math.MaxUint8 {
			return RefusedBatch{}, ErrMessage
		}
		return RefusedBatch{ID: id, Verdict: Verdict(r.Verdict)}, nil
	})
	return &Stored{IDs: ids, Refused: refused}, err
}

func encodeStored(m *Stored) (*pb.Stored, error) {
	if len(m.IDs)+len(m.Refused) > MaxListItems {
		return nil, ErrMessage
	}
	p := &pb.Stored{}
	for _, id := range m.IDs {
		p.Ids = append(p.Ids, id[:])
	}
	for _, r := range m.Refused {
		p.Refused = append(p.Refused, &pb.RefusedBatch{Id: r.ID[:], Verdict: uint32(r.Verdict)})
	}
	return p, nil
}

func decodeBatchID(b []byte) (BatchID, error) {
	var id BatchID
	err := exactly(id[:], b)
	return id, err
}

func decodeHead(p *pb.Head) (Head, error) {
	h := Head{Start: p.Start, Low: p.Low, High: p.High}
	if p.Sender > math.MaxUint16 || p.Low > p.High {
		return Head{}, ErrMessage
	}
	h.Sender = uint16(p.Sender)
	return h, errors.Join(exactly(h.Prefix[:], p.Prefix), exactly(h.Signer[:], p.Signer))
}

func encodeHead(h Head) (*pb.Head, error) {
	if h.Low > h.High {
		return nil, ErrMessage
	}
	return &pb.Head{
		Prefix: h.Prefix[:], Sender: uint32(h.Sender), Start: h.Start, Low: h.Low, High: h.High, Signer: h.Signer[:],
	}, nil
}

func decodeHeads(p *pb.Heads) (*Heads, error) {
	heads, err := each(p.Heads, decodeHead)
	return &Heads{Heads: heads, Full: p.Full}, err
}

func encodeHeads(m *Heads) (*pb.Heads, error) {
	if len(m.Heads) > MaxListItems {
		return nil, ErrMessage
	}
	heads, err := each(m.Heads, encodeHead)
	return &pb.Heads{Heads: heads, Full: m.Full}, err
}

func decodeFetch(p *pb.Fetch) (*Fetch, error) {
	m := &Fetch{Seq: p.Seq, Start: p.Start, From: p.From, To: p.To}
	if p.Sender > math.MaxUint16 || p.From > p.To {
		return nil, ErrMessage
	}
	m.Sender = uint16(p.Sender)
	return m, errors.Join(exactly(m.Prefix[:], p.Prefix), exactly(m.Signer[:], p.Signer))
}

func encodeFetch(m *Fetch) (*pb.Fetch, error) {
	if m.From > m.To {
		return nil, ErrMessage
	}
	return &pb.Fetch{
		Seq: m.Seq, Prefix: m.Prefix[:], Sender: uint32(m.Sender), Start: m.Start, From: m.From, To: m.To,
		Signer: m.Signer[:],
	}, nil
}

func decodeFetched(p *pb.Fetched) (*Fetched, error) {
	m := &Fetched{Seq: p.Seq, Batches: p.Batches, More: p.More}
	if len(p.Batches) == 0 {
		return m, nil
	}
	return m, checkItems(p.Batches, MaxListItems, MaxBatch)
}

func encodeFetched(m *Fetched) (*pb.Fetched, error) {
	p := &pb.Fetched{Seq: m.Seq, Batches: m.Batches, More: m.More}
	if len(m.Batches) == 0 {
		return p, nil
	}
	return p, checkItems(m.Batches, MaxListItems, MaxBatch)
}
