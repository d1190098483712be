package recovery

import (
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/millpondkv/millpond/backup"
	"github.com/millpondkv/millpond/backup/s3"
)

// Store is the settings of where archives are kept, and how.
type Store struct {
	EncryptTo []string `config:"encrypt-to" help:"encrypt archives to these age recipients (age1...), the public keys of those who may read them"`
	Endpoint  string   `config:"s3-endpoint" env:"AWS_ENDPOINT_URL_S3,AWS_ENDPOINT_URL" default:"https://s3.amazonaws.com" help:"the object store of archives at s3://BUCKET/PREFIX"`
	Region    string   `config:"s3-region" env:"AWS_REGION" help:"its region; without it the store is asked"`
	AccessKey string   `config:"s3-access-key" help:"the access key; without it those of AWS_ACCESS_KEY_ID, of ~/.aws or of the machine's role are used"`
	SecretKey string   `config:"s3-secret-key" secret:"true" help:"the secret key that belongs to it"`
}

// Blob returns a location: a directory, or s3://BUCKET/PREFIX.
func (s *Store) Blob(location string) (backup.Blob, error) {
	scheme, rest, ok := strings.Cut(location, "://")
	if !ok {
		return backup.NewDirectory(location), nil
	}
	bucket, prefix, _ := strings.Cut(rest, "/")
	if scheme != "s3" || bucket == "" {
		return nil, fmt.Errorf("the location %q is neither a directory nor s3://BUCKET/PREFIX", location)
	}
	return s3.New(s3.Config{
		Endpoint: s.Endpoint, Region: s.Region, AccessKey: s.AccessKey, SecretKey: s.SecretKey, Bucket: bucket, Prefix: strings.Trim(prefix, "/"),
	})
}

// Recipients returns to whom archives are encrypted; none: they are not.
func (s *Store) Recipients() ([]age.Recipient, error) {
	if len(s.EncryptTo) == 0 {
		return nil, nil
	}
	list, err := age.ParseRecipients(strings.NewReader(strings.Join(s.EncryptTo, "\n")))
	if err != nil {
		return nil, fmt.Errorf("--encrypt-to: %w", err)
	}
	return list, nil
}
