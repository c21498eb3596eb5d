// Several exports with one token and common layers, side by side, as BuildKit runs them for `docker buildx bake`: for each
// layer a look-up and, on a miss, a save of which only "exists" is no failure; then the index of the export, which is
// saved over a former one. It is the loop of BuildKit's cache/remotecache/gha, with the module that does its requests.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	actionscache "github.com/tonistiigi/go-actions-cache"
)

const (
	exports   = 4
	layers    = 6
	layerSize = 2<<20 + 12345
)

func main() {
	run := strconv.FormatInt(time.Now().UnixNano(), 36)
	failed := make([]error, exports)
	var all sync.WaitGroup
	for nth := range exports {
		all.Go(func() { failed[nth] = export(context.Background(), run, nth) })
	}
	all.Wait()
	if err := errors.Join(append(failed, check(context.Background(), run))...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%d exports, %d layers each\n", exports, layers+1)
}

// Six layers are common, one is the export's own.
func export(ctx context.Context, run string, nth int) error {
	cache, err := open()
	if err != nil {
		return err
	}
	names := []string{fmt.Sprintf("%s-own-%d", run, nth)}
	for layer := range layers {
		names = append(names, fmt.Sprintf("%s-%d", run, layer))
	}
	for _, name := range names {
		found, err := cache.Load(ctx, key(name))
		if err != nil {
			return fmt.Errorf("export %d: looking for %s: %w", nth, name, err)
		}
		if found != nil {
			continue
		}
		err = cache.Save(ctx, key(name), actionscache.NewBlob(layer(name)))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("export %d: error writing layer blob %s: %w", nth, name, err)
		}
	}
	line := []byte(fmt.Sprintf("%d\n", nth))
	// The error of an upload is swallowed in there, so the check reads the result.
	return cache.SaveMutable(ctx, index(run), 15*time.Second, func(old *actionscache.Entry) (actionscache.Blob, error) {
		var lines bytes.Buffer
		if old != nil {
			if err := old.WriteTo(ctx, &lines); err != nil {
				return nil, err
			}
		}
		return actionscache.NewBlob(append(lines.Bytes(), line...)), nil
	})
}

func check(ctx context.Context, run string) error {
	cache, err := open()
	if err != nil {
		return err
	}
	names := []string{}
	for layer := range layers {
		names = append(names, fmt.Sprintf("%s-%d", run, layer))
	}
	for nth := range exports {
		names = append(names, fmt.Sprintf("%s-own-%d", run, nth))
	}
	for _, name := range names {
		body, err := load(ctx, cache, key(name))
		if err != nil {
			return err
		}
		if !bytes.Equal(body, layer(name)) {
			return fmt.Errorf("layer %s holds something else", name)
		}
	}
	lines, err := load(ctx, cache, index(run)+"#")
	if err != nil {
		return err
	}
	for nth := range exports {
		if bytes.Count(lines, []byte(fmt.Sprintf("%d\n", nth))) != 1 {
			return fmt.Errorf("the index lacks an export: %q", lines)
		}
	}
	return nil
}

func load(ctx context.Context, cache *actionscache.Cache, key string) ([]byte, error) {
	entry, err := cache.Load(ctx, key)
	if err != nil {
		return nil, err
	}
	if entry == nil {
		return nil, fmt.Errorf("%s is not there", key)
	}
	var body bytes.Buffer
	err = entry.WriteTo(ctx, &body)
	return body.Bytes(), err
}

func open() (*actionscache.Cache, error) {
	cache, err := actionscache.TryEnv(actionscache.Opt{})
	if err == nil && cache == nil {
		err = errors.New("no token")
	}
	return cache, err
}

func key(name string) string {
	return fmt.Sprintf("buildkit-blob-1-sha256:%x", sha256.Sum256([]byte(name)))
}

func index(run string) string { return "index-" + run + "-1-0123abcd" }

// Bytes that no other layer has.
func layer(name string) []byte {
	body := make([]byte, 0, layerSize+sha256.Size)
	sum := sha256.Sum256([]byte(name))
	for len(body) < layerSize {
		sum = sha256.Sum256(sum[:])
		body = append(body, sum[:]...)
	}
	return body[:layerSize]
}
