// Package s3 keeps archives in a bucket of an object store that speaks S3.
package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millpondkv/millpond/backup"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// Config is how a bucket is reached.
type Config struct {
	Endpoint  string // a URL, like https://s3.eu-central-1.amazonaws.com
	Region    string // default: the store is asked
	AccessKey string // with SecretKey; without them those of the environment (AWS_ACCESS_KEY_ID), of ~/.aws, or of the machine's role
	SecretKey string
	Bucket    string
	Prefix    string // of all names; "" or without a slash at its end

	Transport http.RoundTripper // default minio's
}

// Blob is a backup.Blob in a bucket.
type Blob struct {
	client *minio.Core
	c      Config
}

// partSize is that of a multipart upload, which buffers one in memory: 10,000 of them are 160 GB. What is smaller is stored with
// one request.
const partSize = 16 << 20

// Requests are tried again so often, with growing pauses; so is reading on after a connection was lost, if nothing came in between.
const (
	maxRetries = 5
	pauseStep  = 200 * time.Millisecond
)

// New returns the Blob. Nothing is asked of the store yet.
func New(c Config) (*Blob, error) {
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil || endpoint.Host == "" || endpoint.Scheme != "https" && endpoint.Scheme != "http" || strings.Trim(endpoint.Path, "/") != "" {
		return nil, fmt.Errorf("the S3 endpoint %q is not a URL like https://s3.eu-central-1.amazonaws.com", c.Endpoint)
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return nil, errors.New("the S3 access key and secret key belong together; give both or neither")
	}
	from := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: http.DefaultClient},
	})
	if c.AccessKey != "" {
		from = credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")
	}
	client, err := minio.NewCore(endpoint.Host, &minio.Options{Creds: from, Secure: endpoint.Scheme == "https", Region: c.Region, MaxRetries: maxRetries, Transport: c.Transport})
	if err != nil {
		return nil, fmt.Errorf("use S3: %w", err)
	}
	return &Blob{client, c}, nil
}

func (b *Blob) String() string { return "s3://" + b.c.Bucket + "/" + b.c.Prefix }

func (b *Blob) key(name string) string {
	if b.c.Prefix == "" {
		return name
	}
	return b.c.Prefix + "/" + name
}

// Put implements backup.Blob, with a conditional request. A store that does not know those replaces what is there.
func (b *Blob) Put(ctx context.Context, name string, r io.Reader) error {
	first, err := io.ReadAll(io.LimitReader(r, partSize))
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if len(first) < partSize {
		return b.putSmall(ctx, name, first)
	}
	if err := b.put(ctx, name, io.MultiReader(bytes.NewReader(first), r), -1); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return nil
}

// putSmall stores data that is at hand. The request may have been sent twice, because the first answer was lost: then what is in the
// way is this very data.
func (b *Blob) putSmall(ctx context.Context, name string, data []byte) error {
	err := b.put(ctx, name, bytes.NewReader(data), int64(len(data)))
	if errors.Is(err, backup.ErrExists) && b.holds(ctx, name, data) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	return nil
}

func (b *Blob) put(ctx context.Context, name string, r io.Reader, size int64) error {
	options := minio.PutObjectOptions{PartSize: partSize}
	options.SetMatchETagExcept("*")
	_, err := b.client.Client.PutObject(ctx, b.c.Bucket, b.key(name), r, size, options)
	return known(err)
}

func (b *Blob) holds(ctx context.Context, name string, data []byte) bool {
	file, err := b.Get(ctx, name)
	if err != nil {
		return false
	}
	defer file.Close()
	got, err := io.ReadAll(io.LimitReader(file, int64(len(data))+1))
	return err == nil && bytes.Equal(got, data)
}

// known makes an answer of the store one of backup's errors, if it is one.
func known(err error) error {
	if err == nil {
		return nil
	}
	switch answer := minio.ToErrorResponse(err); {
	case answer.Code == "PreconditionFailed" || answer.StatusCode == http.StatusPreconditionFailed:
		return backup.ErrExists
	case answer.Code == "NoSuchKey":
		return backup.ErrNotFound
	case answer.Code == "NoSuchBucket":
		return fmt.Errorf("there is no bucket %q; make it first", answer.BucketName)
	}
	return err
}

// Get implements backup.Blob. When the connection is lost the reader goes on with a new one where that stopped.
func (b *Blob) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	r := &reader{ctx: ctx, b: b, key: b.key(name)}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

// reader reads an object from offset on.
type reader struct {
	ctx    context.Context
	b      *Blob
	key    string
	etag   string // of the object that was opened first
	size   int64
	offset int64
	failed int // tries in a row that brought nothing
	body   io.ReadCloser
}

func (r *reader) open() error {
	var options minio.GetObjectOptions
	if r.etag != "" {
		if err := errors.Join(options.SetMatchETag(r.etag), options.SetRange(r.offset, r.size-1)); err != nil {
			return err
		}
	}
	body, info, _, err := r.b.client.GetObject(r.ctx, r.b.c.Bucket, r.key, options)
	if err != nil {
		return known(err)
	}
	if r.etag == "" {
		r.etag, r.size = info.ETag, info.Size
	}
	r.body = body
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		if r.offset == r.size {
			return 0, io.EOF
		}
		err := error(io.ErrUnexpectedEOF)
		if r.body != nil {
			var n int
			if n, err = r.body.Read(p); n > 0 {
				r.offset += int64(n)
				r.failed = 0
				return n, nil
			}
		}
		if err == nil {
			continue
		}
		if err := r.again(err); err != nil {
			return 0, err
		}
	}
}

// again opens the object anew after a failure, with a pause before. It returns the failure when there were too many.
func (r *reader) again(failure error) error {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
	if r.failed++; r.failed > maxRetries {
		return failure
	}
	if err := pause(r.ctx, r.failed); err != nil {
		return err
	}
	if err := r.open(); errors.Is(err, backup.ErrNotFound) || errors.Is(err, backup.ErrExists) { // deleted or replaced meanwhile
		return err
	}
	return r.ctx.Err()
}

func (r *reader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}

// List implements backup.Blob.
func (b *Blob) List(ctx context.Context, prefix string) ([]string, error) {
	for failed := 1; ; failed++ {
		names, err := b.list(ctx, prefix)
		if err == nil || failed > maxRetries || ctx.Err() != nil {
			return names, err
		}
		if err := pause(ctx, failed); err != nil {
			return nil, err
		}
	}
}

// list is List without another try when the connection is lost in the middle of an answer.
func (b *Blob) list(ctx context.Context, prefix string) (names []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing after an error
	for object := range b.client.Client.ListObjects(ctx, b.c.Bucket, minio.ListObjectsOptions{Prefix: b.key(prefix), Recursive: true}) {
		if object.Err != nil {
			return nil, fmt.Errorf("list %s: %w", b, known(object.Err))
		}
		names = append(names, strings.TrimPrefix(object.Key, b.key("")))
	}
	return names, nil
}

// pause waits before the next try, after so many failures in a row.
func pause(ctx context.Context, failed int) error {
	select {
	case <-time.After(pauseStep * time.Duration(failed)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Delete implements backup.Blob.
func (b *Blob) Delete(ctx context.Context, name string) error {
	err := known(b.client.Client.RemoveObject(ctx, b.c.Bucket, b.key(name), minio.RemoveObjectOptions{}))
	if err != nil && !errors.Is(err, backup.ErrNotFound) {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}
