package cluster

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/millpondkv/millpond/internal/front"
)

// The health check says what /readyz of the same address says, wherever the program listens.
func TestHealth(t *testing.T) {
	var amiss error
	web, err := front.Start("0.0.0.0:0", "--addr", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	addr := web.Addr().String()
	if err := health(t.Context(), addr, io.Discard); err == nil {
		t.Error("healthy before anything is open")
	}
	web.Open(func() error { return amiss }, nil)
	if err := health(t.Context(), addr, io.Discard); err != nil {
		t.Errorf("not healthy: %v", err)
	}
	amiss = errors.New("far behind")
	if err := health(t.Context(), addr, io.Discard); err == nil || !strings.Contains(err.Error(), "far behind") {
		t.Errorf("got %v; want what is amiss", err)
	}
}

// Settings that cannot work are refused before anything is connected, with a sentence that says what to do.
func TestRefused(t *testing.T) {
	for want, s := range map[string]Settings{
		"no access token is set":         &ReaderConfig{Replicas: 3},
		"--replicas must be from 1 to 5": &ReaderConfig{AccessToken: "long-enough-a-token", Replicas: 6},
		"use at least 12":                &ReaderConfig{AccessToken: "short", Replicas: 3},
		"it must be at least 2s":         &WriterConfig{},
		"--checkpoint-bytes must be":     &WriterConfig{Lease: minLease, HTTPAddr: "127.0.0.1:0"},
	} {
		if err := s.Run(t.Context(), slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v; want a sentence with %q", err, want)
		}
	}
}
