package keyagreement

import (
	"fmt"

	"conclave/overlay/wire"
)

var tracing bool

func (n *node) trace(what string, out []Output) {
	if !tracing {
		return
	}
	fmt.Printf("%10v %s %s\n", n.w.now.Round(1e6), n.role, what)
	for _, o := range out {
		switch o := o.(type) {
		case Persist, Erase, Settled:
			if e, ok := o.(Erase); ok {
				fmt.Println("              erase", e.Key[:min(len(e.Key), 16)])
			}
		case Broadcast:
			s, _ := wire.UnmarshalSigned(o.Raw)
			extra := ""
			switch s.Type {
			case wire.SignedOpening:
				p, _ := wire.UnmarshalOpening(s.Payload)
				id := wire.EpochID(hash256(s.Payload))
				extra = fmt.Sprint(id.String()[:6], " #", p.Number, " S ", len(p.Contributors), " by ", p.Opener)
			case wire.SignedLack:
				p, _ := wire.UnmarshalLack(s.Payload)
				extra = fmt.Sprint(p.Epoch.String()[:6], p.Of, p.Attempt)
			case wire.SignedRequest:
				p, _ := wire.UnmarshalRequest(s.Payload)
				extra = fmt.Sprint(p.Role, p.Want)
			case wire.SignedConfirmation:
				p, _ := wire.UnmarshalConfirmation(s.Payload)
				extra = fmt.Sprint(p.Epoch.String()[:6], p.Role)
			case wire.SignedAnnouncement:
				p, _ := wire.UnmarshalAnnouncement(s.Payload)
				extra = fmt.Sprint(p.Epoch.String()[:6], p.Role)
			}
			fmt.Println("              broadcast", s.Type, extra)
		case Wrap:
			fmt.Println("              wrap", o.Parcel.Epoch.String()[:6], o.Parcel.Of, o.Parcel.To)
		case Use:
			fmt.Println("              use", o.Transcript.String()[:6])
		case Completed:
			fmt.Println("              completed", o.Session.ID.String()[:6], o.Session.Transcript.String()[:6])
		case Unwrap:
			fmt.Println("              unwrap", o.Token)
		default:
			fmt.Printf("              %T %v\n", o, o)
		}
	}
}
