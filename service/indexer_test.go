package service

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/millpondkv/millpond/kv"
	"github.com/millpondkv/millpond/writer"
)

// Readers who come while a request is in flight share the next one, never the one that has been sent.
func TestIndexIsAskedAfterTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, proceed := 0, make(chan struct{})
		x := &indexer{ask: func(context.Context) (writer.ReadIndex, error) {
			asked++
			position := kv.Position(asked) // as of when it was sent
			<-proceed
			return writer.ReadIndex{Position: position}, nil
		}}
		got := make(chan kv.Position, 10)
		read := func() {
			index, err := x.ReadIndex(t.Context())
			if err != nil {
				t.Error(err)
			}
			got <- index.Position
		}
		go read()
		synctest.Wait()
		for range 5 {
			go read()
		}
		synctest.Wait()
		proceed <- struct{}{}
		if first := <-got; first != 1 {
			t.Errorf("the first reader got request %d", first)
		}
		proceed <- struct{}{}
		for range 5 {
			if at := <-got; at != 2 {
				t.Errorf("a reader that came while request 1 was in flight got request %d", at)
			}
		}
		synctest.Wait()
		if asked != 2 || x.flying || x.next != nil {
			t.Errorf("%d requests, flying %v; want 2 and no more", asked, x.flying)
		}
	})
}

// A reader whose time ends leaves alone; the request goes on for the others.
func TestIndexGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		x := &indexer{ask: func(context.Context) (writer.ReadIndex, error) {
			<-proceed
			return writer.ReadIndex{Position: 1}, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 2)
		go func() { _, err := x.ReadIndex(ctx); ended <- err }()
		go func() { _, err := x.ReadIndex(t.Context()); ended <- err }()
		synctest.Wait()
		cancel()
		if err := <-ended; !kv.SafeToRetry(err) {
			t.Errorf("got %v; want an error that says to try again", err)
		}
		close(proceed)
		if err := <-ended; err != nil {
			t.Errorf("the other reader: %v", err)
		}
	})
}
