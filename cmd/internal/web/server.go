package web

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// DefaultAddr is where a Server listens unless it is told otherwise: a random port on the loopback interface.
const DefaultAddr = "127.0.0.1:0"

// Implementation constants. All arbitrary within a factor of a few.
const (
	maxTokens    = 16               // addresses that were given out and not yet opened; older ones stop working
	maxHeader    = 32 << 10         // bytes of a request's head
	readTimeout  = 10 * time.Second // for a whole request
	writeTimeout = 30 * time.Second // for a whole answer; a Feed sets its own
	idleTimeout  = 2 * time.Minute  // between two requests of a connection
	graceful     = 3 * time.Second  // for requests under way when the server ends

	// MaxBody is the largest body of a request in bytes. Reading more fails.
	MaxBody = 1 << 20
)

// ErrNotLoopback is returned by Listen for an address that others than this machine could reach.
var ErrNotLoopback = errors.New("a window is served on a loopback address only, such as 127.0.0.1:0")

// Config is what a Server is made of. The zero value works.
type Config struct {
	// Addr is where to listen: a loopback IP address (or "localhost") and a port. Port 0 takes a random one. Empty
	// means DefaultAddr.
	Addr string
	// Secret makes cookies that survive the process: with the same Secret and port, a page that is open recovers when
	// the process is started again. Nil draws a random one. It must have 32 bytes and stay secret.
	Secret []byte
	// Assets are further files to serve beside the shared ones; see Server.Asset.
	Assets []fs.FS
	// Log gets what goes wrong. Nil discards it.
	Log *slog.Logger
}

// Server serves the pages of one process. Listen makes it, Serve runs it; Handle comes between the two.
type Server struct {
	// static after construction
	cfg    Config
	log    *slog.Logger
	ln     net.Listener
	host   string // what a Host header must be
	cookie http.Cookie
	assets *assets
	mux    *http.ServeMux
	used   chan struct{} // says that a token was used; see Announce

	mu     sync.Mutex
	tokens []string // guarded by mu; oldest first
}

// Listen takes the address and returns a Server that serves once Serve is called. Close it, or Serve it.
func Listen(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Secret == nil {
		cfg.Secret = randomBytes()
	}
	if len(cfg.Secret) != sha256.Size {
		return nil, fmt.Errorf("the secret of a window has %d bytes, not %d", len(cfg.Secret), sha256.Size)
	}
	addr, err := loopback(cfg.Addr)
	if err != nil { // defence: web-loopback
		return nil, err
	}
	files, err := newAssets(append([]fs.FS{shared()}, cfg.Assets...))
	if err != nil {
		return nil, fmt.Errorf("reading the files of the window: %w", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for the window: %w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Log, ln: ln, host: hostHeader(ln.Addr()), assets: files, mux: http.NewServeMux(), used: make(chan struct{}, 1)}
	s.cookie = newCookie(cfg.Secret, ln.Addr())
	s.mux.Handle("GET "+files.prefix, files)
	return s, nil
}

// loopback returns the address to listen on, or ErrNotLoopback.
func loopback(addr string) (string, error) {
	if addr == "" {
		return DefaultAddr, nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, fmt.Errorf("%q: %w", addr, ErrNotLoopback)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() || ip.Zone() != "" {
		return addr, fmt.Errorf("%q: %w", addr, ErrNotLoopback)
	}
	return net.JoinHostPort(host, port), nil
}

// CheckAddr says whether Listen would take an address, without taking it.
func CheckAddr(addr string) error {
	_, err := loopback(addr)
	return err
}

// hostHeader is the Host that browsers send for the address: without the port where it is the usual one.
func hostHeader(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if err == nil && port == "80" {
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
			return "[" + host + "]"
		}
		return host
	}
	return a.String()
}

// newCookie returns the cookie that opens the window. Its name has the port, because browsers keep the cookies of all
// ports of a host in one place and several windows run on one machine.
func newCookie(secret []byte, a net.Addr) http.Cookie {
	_, port, _ := net.SplitHostPort(a.String())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("conclave window cookie v1"))
	return http.Cookie{
		Name: "conclave-" + port, Value: base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}
}

// randomBytes returns 32 random bytes.
func randomBytes() []byte {
	b := make([]byte, sha256.Size)
	_, _ = rand.Read(b) // never fails
	return b
}

// Handle serves a pattern of http.ServeMux, behind every check. It must not be called once Serve was.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Addr is the address that the server listens on, which is also the Host it answers to.
func (s *Server) Addr() string { return s.ln.Addr().String() }

// Asset returns the path of one of the files (the shared ones and Config.Assets). The path changes with the files, so
// that browsers may keep them.
func (s *Server) Asset(name string) string { return s.assets.path(name) }

// URL returns an address that opens the window once. Each call returns another; of those that were not opened the latest
// 16 work.
func (s *Server) URL() string {
	token := base64.RawURLEncoding.EncodeToString(randomBytes())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, token)
	if len(s.tokens) > maxTokens {
		s.tokens = s.tokens[1:]
	}
	return "http://" + s.host + "/?" + url.Values{"token": {token}}.Encode()
}

// Serve serves until ctx ends, ends what is under way, and returns nil unless something failed.
func (s *Server) Serve(ctx context.Context) error {
	requests, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := &http.Server{
		Handler: s.Handler(), MaxHeaderBytes: maxHeader,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		end() // feeds end with their requests' contexts
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), graceful)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(limited), server.Close())
	})
	err := server.Serve(s.ln)
	if stop() { // it failed by itself
		return fmt.Errorf("serving the window: %w", err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ending the window: %w", err)
	}
	return nil
}

// Close gives the address back. It is for a Server that is not served; Serve closes by itself.
func (s *Server) Close() error { return s.ln.Close() }
