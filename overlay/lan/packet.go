package lan

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// packet is what a message of multicast DNS means to this package.
type packet struct {
	asks  bool     // for the group's service
	texts []string // of the group's announcements, at most maxTexts
}

// question returns a message that asks for a service.
func question(service string) ([]byte, error) {
	name, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, fmt.Errorf("naming the service: %w", err)
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{})
	b.EnableCompression()
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	if err := b.Question(dnsmessage.Question{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}); err != nil {
		return nil, err
	}
	return b.Finish()
}

// announcement returns a message that says that an instance of the service has these addresses.
func announcement(service, instance string, addrs []string) ([]byte, error) {
	name, err := dnsmessage.NewName(service)
	if err != nil {
		return nil, fmt.Errorf("naming the service: %w", err)
	}
	own, err := dnsmessage.NewName(instance + "." + service)
	if err != nil {
		return nil, fmt.Errorf("naming the instance: %w", err)
	}
	txt := dnsmessage.TXTResource{}
	for _, a := range addrs {
		if text := addrPrefix + a; len(text) <= 255 {
			txt.TXT = append(txt.TXT, text)
		}
	}
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{Response: true, Authoritative: true})
	b.EnableCompression()
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: recordLife}
	if err := b.PTRResource(h, dnsmessage.PTRResource{PTR: own}); err != nil {
		return nil, err
	}
	if err := b.StartAdditionals(); err != nil {
		return nil, err
	}
	h.Name = own
	if err := b.TXTResource(h, txt); err != nil {
		return nil, err
	}
	return b.Finish()
}

// mentions reports whether a message may be about the service. It costs nearly nothing: a link is full of others' messages.
func mentions(data []byte, service string) bool {
	label, _, _ := strings.Cut(service, ".")
	return bytes.Contains(data, []byte(label))
}

// read takes a message apart. Whatever is not about the service, or not well formed, is left out.
func read(service string, data []byte) packet {
	var out packet
	var p dnsmessage.Parser
	h, err := p.Start(data)
	if err != nil {
		return out
	}
	for range maxRecords {
		q, err := p.Question()
		if err != nil {
			break
		}
		if !h.Response && q.Type == dnsmessage.TypePTR && strings.EqualFold(q.Name.String(), service) {
			out.asks = true
		}
	}
	if !h.Response || p.SkipAllQuestions() != nil {
		return out
	}
	out.texts = texts(service, &p)
	return out
}

// texts collects the addresses in the answers and in what follows them.
func texts(service string, p *dnsmessage.Parser) (found []string) {
	sections := []struct {
		header func() (dnsmessage.ResourceHeader, error)
		skip   func() error
	}{
		{p.AnswerHeader, p.SkipAnswer},
		{p.AuthorityHeader, p.SkipAuthority},
		{p.AdditionalHeader, p.SkipAdditional},
	}
	left := maxRecords
	for _, section := range sections {
		for {
			h, err := section.header()
			if err == dnsmessage.ErrSectionDone {
				break
			}
			if left--; err != nil || left < 0 {
				return found
			}
			if h.Type != dnsmessage.TypeTXT || !within(h.Name.String(), service) {
				if section.skip() != nil {
					return found
				}
				continue
			}
			txt, err := p.TXTResource()
			if err != nil {
				return found
			}
			for _, t := range txt.TXT {
				if addr, ok := strings.CutPrefix(t, addrPrefix); ok && len(found) < maxTexts {
					found = append(found, addr)
				}
			}
		}
	}
	return found
}

// within reports whether a name is an instance of the service.
func within(name, service string) bool {
	return len(name) > len(service) && strings.EqualFold(name[len(name)-len(service):], service) &&
		name[len(name)-len(service)-1] == '.'
}
