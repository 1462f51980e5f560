// Calls one gRPC method, or posts to one path over HTTP, with given bytes and tells how
// long answers took, as one JSON line.
//
// Open loop (-rate): calls start at the times of a Poisson process, however long the
// earlier ones take, and a call's time counts from when it should have started, so that
// no queue is hidden. Closed loop (-workers): so many calls at a time, to find the most
// that is answered.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// passBytes hands messages through as they are.
type passBytes struct{}

func (passBytes) Name() string                  { return "proto" }
func (passBytes) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (passBytes) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

type call struct {
	ms   float64
	code string
}

type report struct {
	Offered   float64            `json:"offered_per_second"`
	Answered  float64            `json:"answered_per_second"`
	Seconds   float64            `json:"seconds"`
	Codes     map[string]int     `json:"codes"`
	AnswerLen int                `json:"answer_bytes"`
	OK        map[string]float64 `json:"ok_ms"`
	Refused   map[string]float64 `json:"refused_ms"`
	// With those of the warm-up: what the server's processor time is divided by.
	AnsweredInAll int `json:"answered_in_all"`
}

// sender answers one request; the code is a name of gRPC's.
type sender func(ctx context.Context, number int, request []byte) (int, string)

func overGRPC(channels []*grpc.ClientConn, method string) sender {
	return func(ctx context.Context, number int, request []byte) (int, string) {
		var answer []byte
		channel := channels[number%len(channels)]
		err := channel.Invoke(ctx, method, &request, &answer)
		return len(answer), status.Code(err).String()
	}
}

func overHTTP(url string, connections int) sender {
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
	}}
	return func(ctx context.Context, _ int, request []byte) (int, string) {
		post, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(request))
		if err != nil {
			return 0, "Internal"
		}
		post.Header.Set("Content-Type", "application/json")
		response, err := client.Do(post)
		if err != nil {
			return 0, "Unavailable"
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			return 0, "Unavailable"
		}
		switch response.StatusCode {
		case 200:
			return len(answer), "OK"
		case 429:
			return 0, "ResourceExhausted"
		}
		return 0, fmt.Sprintf("HTTP %d", response.StatusCode)
	}
}

type generator struct {
	send     sender
	payloads [][]byte
	timeout  time.Duration
	next     atomic.Int64
	length   atomic.Int64
	mutex    sync.Mutex
	calls    []call
}

func (g *generator) call(due time.Time) {
	number := int(g.next.Add(1))
	request := g.payloads[number%len(g.payloads)]
	ctx, cancel := context.WithTimeout(context.Background(), g.timeout)
	defer cancel()
	length, code := g.send(ctx, number, request)
	ms := float64(time.Since(due)) / float64(time.Millisecond)
	if code == "OK" {
		g.length.Store(int64(length))
	}
	g.mutex.Lock()
	g.calls = append(g.calls, call{ms, code})
	g.mutex.Unlock()
}

// openLoop tells the rate that chance has made of the one asked for.
func (g *generator) openLoop(rate float64, length time.Duration, seed int64) float64 {
	random := rand.New(rand.NewSource(seed))
	var calls sync.WaitGroup
	start := time.Now()
	for due := start; due.Sub(start) < length; {
		time.Sleep(time.Until(due))
		calls.Add(1)
		go func(due time.Time) {
			defer calls.Done()
			g.call(due)
		}(due)
		due = due.Add(time.Duration(random.ExpFloat64() / rate * float64(time.Second)))
	}
	calls.Wait()
	return float64(len(g.calls)) / length.Seconds()
}

func (g *generator) closedLoop(workers int, length time.Duration) {
	var group sync.WaitGroup
	end := time.Now().Add(length)
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			for time.Now().Before(end) {
				g.call(time.Now())
			}
		}()
	}
	group.Wait()
}

func (g *generator) report(offered float64, seconds float64) report {
	codes := map[string]int{}
	var ok, refused []float64
	for _, c := range g.calls {
		codes[c.code]++
		if c.code == "OK" {
			ok = append(ok, c.ms)
		} else {
			refused = append(refused, c.ms)
		}
	}
	return report{
		offered, float64(len(ok)) / seconds, seconds, codes, int(g.length.Load()),
		percentiles(ok), percentiles(refused), len(ok),
	}
}

func percentiles(values []float64) map[string]float64 {
	sort.Float64s(values)
	found := map[string]float64{}
	for name, share := range map[string]float64{
		"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1,
	} {
		if len(values) > 0 {
			at := int(math.Ceil(share*float64(len(values)))) - 1
			found[name] = math.Round(1000*values[max(at, 0)]) / 1000
		}
	}
	return found
}

func readPayloads(folder string) ([][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.bin"))
	if err != nil || len(paths) == 0 {
		return nil, fmt.Errorf("no *.bin in %s", folder)
	}
	var payloads [][]byte
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, data)
	}
	return payloads, nil
}

func run() error {
	target := flag.String("target", "", "HOST:PORT")
	method := flag.String("method", "", "/package.Service/Method, or a path of HTTP")
	isHTTP := flag.Bool("http", false, "post over HTTP/1.1")
	folder := flag.String("payloads", "", "folder of *.bin, requests sent by turns")
	rate := flag.Float64("rate", 0, "calls a second, open loop")
	workers := flag.Int("workers", 0, "calls at a time, closed loop, instead of -rate")
	seconds := flag.Float64("seconds", 5, "of calls that count")
	warmUp := flag.Float64("warm_up", 1, "seconds of calls before those that count")
	connections := flag.Int("connections", 16, "that calls take by turns")
	timeout := flag.Duration("timeout", 10*time.Second, "of each call")
	seed := flag.Int64("seed", 0, "of the times between calls")
	flag.Parse()
	if (*rate > 0) == (*workers > 0) {
		return fmt.Errorf("either -rate or -workers must be positive")
	}
	payloads, err := readPayloads(*folder)
	if err != nil {
		return err
	}
	var channels []*grpc.ClientConn
	for range *connections {
		channel, err := grpc.NewClient(*target,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(passBytes{})))
		if err != nil {
			return err
		}
		defer channel.Close()
		channels = append(channels, channel)
	}
	send := overGRPC(channels, *method)
	if *isHTTP {
		send = overHTTP("http://"+*target+*method, *connections)
	}
	load := func(seconds float64, seed int64) report {
		g := &generator{
			send: send, payloads: payloads, timeout: *timeout,
		}
		start := time.Now()
		offered := 0.0
		if *rate > 0 {
			offered = g.openLoop(*rate, time.Duration(seconds*float64(time.Second)), seed)
		} else {
			g.closedLoop(*workers, time.Duration(seconds*float64(time.Second)))
		}
		return g.report(offered, time.Since(start).Seconds())
	}
	before := load(*warmUp, *seed+1)
	found := load(*seconds, *seed)
	found.AnsweredInAll += before.AnsweredInAll
	return json.NewEncoder(os.Stdout).Encode(found)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "load_generator:", err)
		os.Exit(1)
	}
}
