// SPDX-License-Identifier: Apache-2.0

// A workload that uses go-spiffe as its authors publish it: another gRPC and another TLS than the rest of the tests have.
// It says what it got in JSON lines.
//
//	x509               its X.509-SVID, by an X509Source
//	jwt AUDIENCE       its JWT-SVID, by a JWTSource, verified with that source's own bundle
//	validate AUDIENCE TOKEN  what the Workload API says of a token
//	verify AUDIENCE TOKEN    what go-spiffe says of it, with the bundle that it fetched
//	watch              every update of its X.509 context and of its JWT bundles, until it is ended
//	serve ID           a TLS server for the client ID: {"listening": address}, then who came and what they said
//	dial ADDRESS ID    a TLS client of it
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/jwtbundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
	"google.golang.org/grpc/status"
)

var printing sync.Mutex

func say(answer map[string]any) {
	printing.Lock()
	defer printing.Unlock()
	json.NewEncoder(os.Stdout).Encode(answer)
}

func serial(svid *x509svid.SVID) string {
	return fmt.Sprintf("%x", svid.Certificates[0].SerialNumber)
}

func keys(set *jwtbundle.Set) map[string][]string {
	all := map[string][]string{}
	for _, bundle := range set.Bundles() {
		ids := []string{}
		for id := range bundle.JWTAuthorities() {
			ids = append(ids, id)
		}
		sort.Strings(ids)
		all[bundle.TrustDomain().Name()] = ids
	}
	return all
}

func fetchX509(ctx context.Context) error {
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	svid, err := source.GetX509SVID()
	if err != nil {
		return err
	}
	bundle, err := source.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	if err != nil {
		return err
	}
	id, _, err := x509svid.Verify(svid.Certificates, bundle)
	if err != nil {
		return err
	}
	say(map[string]any{"spiffe_id": id.String(), "serial": serial(svid), "hint": svid.Hint,
		"authorities": len(bundle.X509Authorities())})
	return nil
}

func fetchJWT(ctx context.Context, audience string) error {
	source, err := workloadapi.NewJWTSource(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	svids, err := source.FetchJWTSVIDs(ctx, jwtsvid.Params{Audience: audience})
	if err != nil {
		return err
	}
	list := []map[string]any{}
	for _, fetched := range svids {
		svid, err := jwtsvid.ParseAndValidate(fetched.Marshal(), source, []string{audience})
		if err != nil {
			return err
		}
		list = append(list, map[string]any{"spiffe_id": svid.ID.String(), "audience": svid.Audience,
			"hint": fetched.Hint, "seconds": time.Until(svid.Expiry).Seconds(), "token": svid.Marshal()})
	}
	say(map[string]any{"svids": list})
	return nil
}

func validate(ctx context.Context, audience, token string) error {
	svid, err := workloadapi.ValidateJWTSVID(ctx, token, audience)
	if err != nil {
		return err
	}
	say(map[string]any{"spiffe_id": svid.ID.String(), "claims": svid.Claims})
	return nil
}

func verify(ctx context.Context, audience, token string) error {
	set, err := workloadapi.FetchJWTBundles(ctx)
	if err != nil {
		return err
	}
	svid, err := jwtsvid.ParseAndValidate(token, set, []string{audience})
	if err != nil {
		return err
	}
	say(map[string]any{"spiffe_id": svid.ID.String(), "claims": svid.Claims, "keys": keys(set)})
	return nil
}

type watcher struct{}

func (watcher) OnX509ContextUpdate(x *workloadapi.X509Context) {
	svid := x.DefaultSVID()
	say(map[string]any{"news": "x509", "spiffe_id": svid.ID.String(), "serial": serial(svid)})
}

func (watcher) OnX509ContextWatchError(err error) {
	say(map[string]any{"news": "x509 error", "code": status.Code(err).String()})
}

func (watcher) OnJWTBundlesUpdate(set *jwtbundle.Set) {
	say(map[string]any{"news": "jwt", "keys": keys(set)})
}

func (watcher) OnJWTBundlesWatchError(err error) {
	say(map[string]any{"news": "jwt error", "code": status.Code(err).String()})
}

func watch(ctx context.Context) error {
	client, err := workloadapi.New(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	ended := make(chan error, 2)
	go func() { ended <- client.WatchX509Context(ctx, watcher{}) }()
	go func() { ended <- client.WatchJWTBundles(ctx, watcher{}) }()
	return errors.Join(<-ended, <-ended)
}

// What both ends of a connection say about it.
func describe(conn *tls.Conn, said string) {
	state := conn.ConnectionState()
	peer, err := spiffetls.PeerIDFromConnectionState(state)
	answer := map[string]any{"peer": peer.String(), "version": tls.VersionName(state.Version), "said": said}
	if err != nil {
		answer["error"] = err.Error()
	}
	say(answer)
}

func serve(ctx context.Context, client spiffeid.ID) error {
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(client))
	say(map[string]any{"listening": inner.Addr().String()})
	for {
		raw, err := inner.Accept()
		if err != nil {
			return err
		}
		conn := tls.Server(raw, config)
		said, err := io.ReadAll(conn)
		if err != nil {
			say(map[string]any{"refused": err.Error()})
		} else {
			fmt.Fprintf(conn, "hello, %s", said)
			describe(conn, string(said))
		}
		conn.Close()
	}
}

func dial(ctx context.Context, address string, server spiffeid.ID) error {
	source, err := workloadapi.NewX509Source(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	conn, err := tls.Dial("tcp", address, tlsconfig.MTLSClientConfig(source, source, tlsconfig.AuthorizeID(server)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "gopher"); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	said, err := io.ReadAll(conn)
	if err != nil {
		return err
	}
	describe(conn, string(said))
	return nil
}

func run(ctx context.Context, args []string) error {
	verb, args := args[0], args[1:]
	switch {
	case verb == "x509" && len(args) == 0:
		return fetchX509(ctx)
	case verb == "jwt" && len(args) == 1:
		return fetchJWT(ctx, args[0])
	case verb == "validate" && len(args) == 2:
		return validate(ctx, args[0], args[1])
	case verb == "verify" && len(args) == 2:
		return verify(ctx, args[0], args[1])
	case verb == "watch" && len(args) == 0:
		return watch(ctx)
	case verb == "serve" && len(args) == 1:
		return serve(ctx, spiffeid.RequireFromString(args[0]))
	case verb == "dial" && len(args) == 2:
		return dial(ctx, args[0], spiffeid.RequireFromString(args[1]))
	}
	return fmt.Errorf("no such verb: %s", verb)
}

func main() {
	// go-spiffe tries again and again; a test that waits for that long has failed.
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "a verb is wanted")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1:]); err != nil {
		say(map[string]any{"error": err.Error(), "code": status.Code(err).String()})
		os.Exit(1)
	}
}
