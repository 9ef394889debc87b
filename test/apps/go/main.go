// A service on net/http that drains without resetting anyone. Listens on descriptor 3 when LISTEN_FDS says so, else on $PORT.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Set by the linker: -X main.version=…
var version, variant = "0", "good"

const (
	pattern = "0123456789abcdef"
	slices  = 20
)

var (
	pid      = strconv.Itoa(os.Getpid())
	root     = fmt.Sprintf(`{"app":"go","version":"%s","pid":%s,"payload":"%s"}`+"\n", version, pid, strings.Repeat(pattern, 16))
	slowBody = strings.Repeat(pattern, 4096)
	draining atomic.Bool
)

func head(w http.ResponseWriter, length int) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(length))
	h.Set("X-Version", version)
	h.Set("X-Pid", pid)
	if draining.Load() {
		h.Set("Connection", "close")
	}
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		head(w, len(body))
		w.Write([]byte(body))
	}
}

func slow(w http.ResponseWriter, r *http.Request) {
	milliseconds, err := strconv.Atoi(r.URL.Query().Get("ms"))
	if err != nil {
		milliseconds = 20_000
	}
	head(w, len(slowBody))
	w.(http.Flusher).Flush()
	for i := 0; i < slices; i++ {
		time.Sleep(time.Duration(milliseconds) * time.Millisecond / slices)
		w.Write([]byte(slowBody[len(slowBody)*i/slices : len(slowBody)*(i+1)/slices]))
		w.(http.Flusher).Flush()
	}
}

func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") == "" {
		return net.Listen("tcp", ":"+os.Getenv("PORT"))
	}
	file := os.NewFile(3, "inherited")
	defer file.Close() // FileListener has duplicated it
	return net.FileListener(file)
}

// notifyReady follows sd_notify(3); without a NOTIFY_SOCKET there is nobody to tell.
func notifyReady() {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return
	}
	connection, err := net.Dial("unixgram", address)
	if err != nil {
		log.Print("cannot notify: ", err)
		return
	}
	defer connection.Close()
	fmt.Fprint(connection, "READY=1")
}

func grace() time.Duration {
	milliseconds, err := strconv.Atoi(os.Getenv("DRAIN_GRACE_MS"))
	if err != nil {
		milliseconds = 1000
	}
	return time.Duration(milliseconds) * time.Millisecond
}

func main() {
	switch variant {
	case "exits-at-once":
		os.Exit(3)
	case "never-ready":
		time.Sleep(time.Hour)
	case "crashes-after-start":
		time.AfterFunc(500*time.Millisecond, func() { panic("crashes-after-start") })
	}

	listener, err := listen()
	if err != nil {
		log.Fatal("cannot listen: ", err)
	}
	http.HandleFunc("/", answer(root))
	http.HandleFunc("/healthz", answer("ok\n"))
	http.HandleFunc("/slow", slow)

	var open atomic.Int64
	closed := make(chan struct{}, 1)
	server := &http.Server{ConnState: func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
			select {
			case closed <- struct{}{}:
			default:
			}
		}
	}}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	notifyReady()

	select {
	case err := <-served:
		log.Fatal("cannot serve: ", err)
	case <-stop:
	}
	draining.Store(true)
	listener.Close()
	<-served // from here on no connection is added

	// Not SetKeepAlivesEnabled(false) nor Shutdown yet: both close idle connections at once, under requests on their way.
	for patience := time.After(grace()); open.Load() > 0; {
		select {
		case <-closed:
			continue
		case <-patience:
			server.Shutdown(context.Background())
			return
		}
	}
}
