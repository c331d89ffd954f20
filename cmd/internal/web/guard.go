package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// policy is the Content-Security-Policy of every answer. Script and style come from files of this server only; the last
// two lines make a browser that knows them refuse to turn text into markup or script at all.
var policy = strings.Join([]string{
	"default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "font-src 'self'", "connect-src 'self'",
	"manifest-src 'self'", "base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'",
	"require-trusted-types-for 'script'", "trusted-types 'none'",
}, "; ")

// Handler returns everything that was handled, behind the checks. Serve uses it; tests may.
func (s *Server) Handler() http.Handler {
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { deny(w, foreignOrigin) }))
	guarded := s.sameOrigin(protection.Handler(s.inside(s.mux))) // defence: web-origin
	return headers(s.ownHost(guarded))
}

// headers sets what every answer carries, refusals included.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		next.ServeHTTP(w, r)
	})
}

// ownHost refuses every Host but our own: a foreign name that resolves to 127.0.0.1 would make a foreign page same-origin.
func (s *Server) ownHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != s.host { // defence: web-host
			deny(w, foreignHost)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin refuses what another origin caused, reading included: SameSite lets other ports of this host through, and
// http.CrossOriginProtection lets every GET through, of which an event stream is one.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	own := "http://" + s.host
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		site := r.Header.Get("Sec-Fetch-Site")
		if site != "" && site != "same-origin" && site != "none" {
			deny(w, foreignOrigin)
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" && origin != own {
			deny(w, foreignOrigin)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// inside lets through whoever has the cookie, and gives the cookie to whoever has a token.
func (s *Server) inside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		switch {
		case r.URL.Path == "/" && r.Method == http.MethodGet && query.Has("token"):
			s.exchange(w, r, query)
		case s.hasCookie(r): // defence: web-cookie
			next.ServeHTTP(w, r)
		default:
			deny(w, noCookie)
		}
	})
}

// exchange takes a token and gives the cookie. It leads away from the address with the token in every case where there
// is a page to show; the rest of the query (place and size of the window) goes along.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, query url.Values) {
	if s.take(query.Get("token")) {
		cookie := s.cookie
		http.SetCookie(w, &cookie)
	} else if !s.hasCookie(r) {
		deny(w, usedToken)
		return
	}
	query.Del("token")
	to := url.URL{Path: "/", RawQuery: query.Encode()}
	http.Redirect(w, r, to.String(), http.StatusSeeOther)
}

// take uses up a token and reports whether it was good.
func (s *Server) take(token string) bool {
	given := sha256.Sum256([]byte(token))
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.tokens, func(t string) bool {
		want := sha256.Sum256([]byte(t))
		return subtle.ConstantTimeCompare(given[:], want[:]) == 1
	})
	if i < 0 {
		return false
	}
	s.tokens = slices.Delete(s.tokens, i, i+1) // defence: web-token-once
	select {
	case s.used <- struct{}{}:
	default: // it has not been looked at since the last one
	}
	return true
}

func (s *Server) hasCookie(r *http.Request) bool {
	for _, c := range r.CookiesNamed(s.cookie.Name) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(s.cookie.Value)) == 1 {
			return true
		}
	}
	return false
}

// refusal is why a request is refused, for the person who may have opened it.
type refusal struct {
	status int
	text   string
}

var (
	foreignHost   = refusal{http.StatusMisdirectedRequest, "This window is not served under that name."}
	foreignOrigin = refusal{http.StatusForbidden, "Another page led here. Copy the address that the program printed into the address bar."}
	noCookie      = refusal{http.StatusForbidden, "This window opens with the address that the program printed last."}
	usedToken     = refusal{http.StatusForbidden, "This address has been used: each opens the window once. The program has printed a fresh one."}
)

// deny refuses a request in plain words, which say nothing that helps a stranger.
func deny(w http.ResponseWriter, why refusal) { http.Error(w, why.text, why.status) }
