package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millpondkv/millpond/client"
	"github.com/millpondkv/millpond/kv"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

func writeAndRead(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	db, err := client.Open(ctx, url, client.WithAccessToken(token))
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.Set(ctx, kv.Key{"k"}, kv.Value{Encoding: kv.EncodingBytes, Data: []byte("v")}); err != nil {
		return err
	}
	e, err := db.Get(ctx, kv.Key{"k"})
	if err == nil && !bytes.Equal(e.Value.Data, []byte("v")) {
		err = errOther
	}
	return err
}

// Reader and writer speak TLS with a server that asks for certificates. Without the CA, with another one, and without a
// certificate of their own, the health check and the log say so in a sentence that names the setting.
func TestTLS(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	cert, key := ours.issue("server")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	s := natsServer(t, func(o *server.Options) {
		o.TLSVerify, o.TLS = true, true
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: ours.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
	})
	cert, key = ours.issue("client")
	good := NATS{Servers: []string{s.ClientURL()}, CA: ours.file, Cert: cert, Key: key}
	expectWorks(t, reader(t, good, nil), writer(t, good, nil))

	without := good
	without.CA = ""
	reader(t, without, nil).awaitHealth("name the CA that signed it with --nats-ca")
	wrong := good
	wrong.CA = others.file
	writer(t, wrong, nil).awaitHealth("name the CA that signed it with --nats-ca")
	anonymous := good
	anonymous.Cert, anonymous.Key = "", ""
	p := writer(t, anonymous, nil)
	p.awaitHealth("give --nats-cert and --nats-key")
	p.awaitLog("NATS is not connected; trying on")
}

// A server that does not speak TLS is named as such, rather than spoken to in the clear.
func TestTLSNotThere(t *testing.T) {
	s := natsServer(t, nil)
	reader(t, NATS{Servers: []string{s.ClientURL()}, CA: newAuthority(t).file}, nil).awaitHealth("does not speak TLS")
}

// A name and a password in the URL let both programs in. A wrong password is said by the health check and the log, and the
// program goes on trying: the password may be changed on the server.
func TestPassword(t *testing.T) {
	s := natsServer(t, func(o *server.Options) { o.Username, o.Password = "millpond", "right" })
	with := func(password string) NATS {
		return NATS{Servers: []string{strings.Replace(s.ClientURL(), "nats://", "nats://millpond:"+password+"@", 1)}}
	}
	expectWorks(t, reader(t, with("right"), nil), writer(t, with("right"), nil))
	for _, p := range []*program{reader(t, with("secret-but-wrong"), nil), writer(t, with("secret-but-wrong"), nil)} {
		p.awaitHealth("NATS refuses the user")
		p.awaitLog("NATS refuses the user")
		if strings.Contains(p.log.String(), "secret-but-wrong") {
			t.Error("the password is in the log")
		}
	}
}

// The credentials file of a user that an operator's account has let in lets both programs in, and that of another does not.
func TestCredentials(t *testing.T) {
	operator := newOperator(t)
	s := natsServer(t, operator.configure)
	good := NATS{Servers: []string{s.ClientURL()}, Creds: operator.user(operator.account)}
	expectWorks(t, reader(t, good, nil), writer(t, good, nil))
	stranger, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	good.Creds = operator.user(stranger)
	reader(t, good, nil).awaitHealth("NATS refuses the user")
}

// Nobody listens there: the program waits, and says so.
func TestUnreachable(t *testing.T) {
	p := reader(t, NATS{Servers: []string{"nats://" + freeAddr(t)}}, nil)
	p.awaitHealth("no NATS server can be reached")
	p.awaitLog("NATS is not connected; trying on")
	p.stop()
	<-p.ended
	if p.err != nil {
		t.Errorf("it ended with %v; want a graceful end", p.err)
	}
}

// Files that cannot be used are refused at once, by the name of the setting.
func TestNATSFiles(t *testing.T) {
	dir := t.TempDir()
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, []byte("noise"), 0o600); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "absent")
	for want, c := range map[string]NATS{
		"--nats-creds: open " + absent:       {Creds: absent},
		"is not a credentials file":          {Creds: noise},
		"--nats-ca: open " + absent:          {CA: absent},
		"has no certificate in PEM form":     {CA: noise},
		"belong together":                    {Cert: noise},
		`--nats-monitor: "a:8222"`:           {Monitor: []string{"a:8222"}},
		"--nats-cert and --nats-key: tls: f": {Cert: noise, Key: noise},
	} {
		c.Servers = []string{"nats://127.0.0.1:1"}
		writer(t, c, nil).expectRefusal(want)
	}
	writer(t, NATS{}, nil).expectRefusal("--nats names no server")
}

// authority is a CA.
type authority struct {
	t    *testing.T
	file string // its certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, file: filepath.Join(t.TempDir(), "ca.pem"), key: newKey(t)}
	template := certificate("CA")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.cert = a.sign(template, template, a.key, a.file)
	return a
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign writes the certificate to a file.
func (a *authority) sign(template, parent *x509.Certificate, key *ecdsa.PrivateKey, file string) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(file, "CERTIFICATE", der)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

func (a *authority) write(file, kind string, der []byte) {
	a.t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// issue returns the files of a certificate for this machine, and of its key.
func (a *authority) issue(name string) (cert, keyFile string) {
	a.t.Helper()
	dir, key := a.t.TempDir(), newKey(a.t)
	cert, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	a.sign(certificate(name), a.cert, key, cert)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(keyFile, "PRIVATE KEY", der)
	return cert, keyFile
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// operator signs accounts, of which one has JetStream.
type operator struct {
	t                         *testing.T
	operator, system, account nkeys.KeyPair
}

func newOperator(t *testing.T) *operator {
	t.Helper()
	o := &operator{t: t}
	for key, create := range map[*nkeys.KeyPair]func() (nkeys.KeyPair, error){
		&o.operator: nkeys.CreateOperator, &o.system: nkeys.CreateAccount, &o.account: nkeys.CreateAccount,
	} {
		var err error
		if *key, err = create(); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func (o *operator) configure(options *server.Options) {
	o.t.Helper()
	claims := jwt.NewOperatorClaims(o.public(o.operator))
	claims.SystemAccount = o.public(o.system)
	resolver := &server.MemAccResolver{}
	for _, key := range []nkeys.KeyPair{o.system, o.account} {
		account := jwt.NewAccountClaims(o.public(key))
		if key == o.account {
			account.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: -1, MemoryStorage: -1, Streams: -1, Consumer: -1}
		}
		if err := resolver.Store(o.public(key), o.encode(account, o.operator)); err != nil {
			o.t.Fatal(err)
		}
	}
	text := o.encode(claims, o.operator)
	trusted, err := jwt.DecodeOperatorClaims(text)
	if err != nil {
		o.t.Fatal(err)
	}
	options.TrustedOperators, options.SystemAccount, options.AccountResolver = []*jwt.OperatorClaims{trusted}, o.public(o.system), resolver
}

// user returns a credentials file of a new user of an account.
func (o *operator) user(account nkeys.KeyPair) string {
	o.t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		o.t.Fatal(err)
	}
	seed, err := key.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(o.encode(jwt.NewUserClaims(o.public(key)), account), seed)
	if err != nil {
		o.t.Fatal(err)
	}
	file := filepath.Join(o.t.TempDir(), "user.creds")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return file
}

func (o *operator) public(key nkeys.KeyPair) string {
	o.t.Helper()
	public, err := key.PublicKey()
	if err != nil {
		o.t.Fatal(err)
	}
	return public
}

func (o *operator) encode(claims jwt.Claims, by nkeys.KeyPair) string {
	o.t.Helper()
	text, err := claims.Encode(by)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}
