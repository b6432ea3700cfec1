// SPDX-License-Identifier: Apache-2.0

package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
)

// TLSOptions say how the agent is reached over TCP. All are needed.
type TLSOptions struct {
	Address string
	// Cert and Key are files of the agent's own certificate, ClientCA one of
	// the authorities whose clients are let in; all in PEM. They are read for
	// each connection, so that what replaces them is in force at once.
	Cert, Key, ClientCA string
	// Users are the accounts that may come so. The common name of a client's
	// certificate is the name of its account.
	Users []string
}

func (o TLSOptions) complete() error {
	if o.Address == "" || o.Cert == "" || o.Key == "" || o.ClientCA == "" || len(o.Users) == 0 {
		return errors.New("address, cert, key, client_ca and users are all needed: without certificates on both sides nothing is opened")
	}
	return nil
}

// load reads the files. The peer that it returns a config for is filled in by
// the handshake.
func (o TLSOptions) load() (*tls.Config, *peer, error) {
	if err := keptSecret(o.Key); err != nil {
		return nil, nil, err
	}
	cert, err := tls.LoadX509KeyPair(o.Cert, o.Key)
	if err != nil {
		return nil, nil, fmt.Errorf("read the certificate %s and its key: %w", o.Cert, err)
	}
	text, err := os.ReadFile(o.ClientCA)
	if err != nil {
		return nil, nil, fmt.Errorf("read the authorities of clients: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(text) {
		return nil, nil, fmt.Errorf("read the authorities of clients: no certificate in PEM is in %s", o.ClientCA)
	}
	p := &peer{}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    authorities,
		NextProtos:   []string{"h2", "http/1.1"},
		// A ticket would let a client in without its certificate being looked at again.
		SessionTicketsDisabled: true,
		VerifyConnection: func(state tls.ConnectionState) (err error) {
			*p, err = o.peerOf(state)
			return err
		},
	}, p, nil
}

func keptSecret(key string) error {
	info, err := os.Stat(key)
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("read the key %s: its mode is %#o, everybody may use it: make it 0600", key, info.Mode().Perm())
	}
	return nil
}

// notListed is the certificate of somebody whom the authority knows and this host does not.
type notListed struct{ name, why string }

func (e *notListed) Error() string { return fmt.Sprintf("certificate of %q: %s", e.name, e.why) }

// peerOf is the account that a verified certificate names, as it would be on the socket.
func (o TLSOptions) peerOf(state tls.ConnectionState) (peer, error) {
	leaf := state.VerifiedChains[0][0]
	name := leaf.Subject.CommonName
	if !slices.Contains(o.Users, name) {
		return peer{}, &notListed{name, "not in listen.users"}
	}
	account, err := user.Lookup(name)
	if err != nil {
		return peer{}, &notListed{name, "no such account on this host"}
	}
	p := peer{certificate: leaf.SerialNumber.Text(16), expires: leaf.NotAfter}
	ids, err := account.GroupIds()
	if err != nil {
		return peer{}, fmt.Errorf("groups of %q: %w", name, err)
	}
	for _, text := range append(ids, account.Uid, account.Gid) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return peer{}, fmt.Errorf("account %q: %w", name, err)
		}
		p.groups = append(p.groups, uint32(id))
	}
	n := len(ids)
	p.uid, p.gid, p.groups = p.groups[n], p.groups[n+1], p.groups[:n]
	return p, nil
}
