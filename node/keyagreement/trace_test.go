package keyagreement

import (
	"fmt"

	"conclave/node/keyagreement/event"
	"conclave/overlay/wire"
)

var tracing bool

func (n *node) trace(what string, out []event.Output) {
	if !tracing {
		return
	}
	fmt.Printf("%10v %s %s\n", n.w.now.Round(1e6), n.role, what)
	for _, o := range out {
		switch o := o.(type) {
		case event.Persist, event.Erase, event.Settled:
			if e, ok := o.(event.Erase); ok {
				fmt.Println("              erase", e.Key[:min(len(e.Key), 16)])
			}
		case event.Broadcast:
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
		case event.Wrap:
			fmt.Println("              wrap", o.Parcel.Epoch.String()[:6], o.Parcel.Of, o.Parcel.To)
		case event.Use:
			fmt.Println("              use", o.Transcript.String()[:6])
		case event.Completed:
			fmt.Println("              completed", o.Session.ID.String()[:6], o.Session.Transcript.String()[:6])
		case event.Unwrap:
			fmt.Println("              unwrap", o.Token)
		default:
			fmt.Printf("              %T %v\n", o, o)
		}
	}
}

// dump shows what every member holds.
func (w *world) dump() {
	fmt.Println(w.faults)
	for _, n := range w.nodes {
		fmt.Println("==", n.role, "alive", n.m != nil, "gone", n.gone, "cheat", n.cheat, "linked", n.linked, "skew", n.skew, "roster",
			n.roster.Version, "of", w.roster.Version, inRoster(w.roster, n.role), "wiped", n.wiped, "using", n.using.String()[:6])
		if n.m == nil {
			continue
		}
		for _, e := range n.m.order {
			fmt.Printf("   %v #%d by %s S=%d own=%v stale=%v failed=%v split=%v created=%v lack=%d", e.id.String()[:6],
				e.opening.Number, e.opening.Opener, len(e.parts), e.own, e.stale, e.failed, e.split, e.created.Sub(simEpochStart), e.lack.N)
			for i := range e.parts {
				fmt.Print(" ", e.opening.Contributors[i].Role, e.parts[i].raw != nil, e.parts[i].have)
			}
			if e.session != nil {
				fmt.Print(" T=", e.session.transcript.String()[:6], " done ", e.session.completed.Sub(simEpochStart), e.session.confirmed,
					" nosend ", e.session.noSend, " eligible ", n.m.eligible(e))
			}
			fmt.Println()
		}
		fmt.Println("   wants", n.m.wants(), "requests", len(n.m.asked.Newest), "strikes", n.m.asked, "evidence", len(n.m.evidence))
	}
}
