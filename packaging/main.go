// SPDX-License-Identifier: Apache-2.0

// Command packaging makes what is released: for each architecture a tarball, a deb and an
// rpm, and the SHA-256 sums of all. The same commit makes the same bytes: times come from
// SOURCE_DATE_EPOCH (default: the commit's), and nothing else of the machine gets in. See
// https://reproducible-builds.org/docs/source-date-epoch/.
package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// release is one run.
type release struct {
	dist, version, ldflags, work string
	// out is a directory below dist for what is made, so that nothing else is listed.
	out   string
	epoch time.Time
}

func main() {
	var r release
	architectures := flag.String("arch", "amd64,arm64", "architectures, by Go's names")
	flag.StringVar(&r.dist, "o", "dist", "directory for the results")
	flag.StringVar(&r.version, "version", "", "version, as in semver")
	flag.StringVar(&r.ldflags, "ldflags", "", "linker flags of the build")
	flag.Parse()
	if err := r.run(strings.Split(*architectures, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func (r *release) run(architectures []string) (err error) {
	if r.version == "" {
		return errors.New("no -version: run it by make dist")
	}
	if r.epoch, err = epoch(); err != nil {
		return err
	}
	if r.work, err = os.MkdirTemp("", "skep-packaging-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.work)) }()
	if err := os.MkdirAll(r.dist, 0o755); err != nil {
		return err
	}
	if r.out, err = os.MkdirTemp(r.dist, ".new-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(r.out)) }()
	if err := r.writeManual(); err != nil {
		return err
	}
	var all []func() error
	for _, arch := range architectures {
		all = append(all, func() error {
			if err := r.make(arch); err != nil {
				return fmt.Errorf("%s: %w", arch, err)
			}
			return nil
		})
	}
	if err := atOnce(all...); err != nil {
		return err
	}
	if err := r.sums(); err != nil {
		return err
	}
	return r.publish()
}

// publish gives what was made its place; what earlier runs have made stays, and is not listed.
func (r *release) publish() error {
	made, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	for _, f := range made {
		path := filepath.Join(r.dist, f.Name())
		if err := os.Rename(filepath.Join(r.out, f.Name()), path); err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// epoch is the time of everything that is made.
func epoch() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := exec.Command("git", "-c", "safe.directory=*", "log", "-1", "--format=%ct").Output()
		if err != nil {
			return time.Time{}, fmt.Errorf("ask git for the commit's time: %w; set SOURCE_DATE_EPOCH where there is no git", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (r *release) make(arch string) error {
	bin := filepath.Join(r.work, "bin-"+arch)
	if err := r.build(arch, bin); err != nil {
		return err
	}
	return atOnce(func() error { return r.tarball(arch, bin) }, func() error { return r.packages(arch, bin) })
}

// atOnce does all beside each other: most of a release's time is compression, which takes one CPU.
func atOnce(all ...func() error) error {
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, f := range all {
		group.Go(func() { errs[i] = f() })
	}
	group.Wait()
	return errors.Join(errs...)
}

func (r *release) build(arch, bin string) error {
	return r.do([]string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + arch},
		"go", "build", "-trimpath", "-buildvcs=false", "-ldflags", r.ldflags, "-o", bin+"/", "./cmd/skepd", "./cmd/skep")
}

// writeManual makes the pages and completions with a skep for this machine.
func (r *release) writeManual() error {
	skep := filepath.Join(r.work, "skep")
	if err := r.do([]string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-o", skep, "./cmd/skep"); err != nil {
		return err
	}
	if err := r.do(nil, "go", "run", "./packaging/manual", filepath.Join(r.work, "share/man/man1")); err != nil {
		return err
	}
	for shell, path := range map[string]string{
		"bash": "bash-completion/completions/skep", "zsh": "zsh/site-functions/_skep", "fish": "fish/vendor_completions.d/skep.fish",
	} {
		text, err := exec.Command(skep, "completion", shell).Output()
		if err != nil {
			return fmt.Errorf("write completion for %s: %w", shell, err)
		}
		path = filepath.Join(r.work, "share", path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, text, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) do(environ []string, argv ...string) error {
	c := exec.Command(argv[0], argv[1:]...)
	c.Env = slices.Concat(os.Environ(), environ, []string{"SOURCE_DATE_EPOCH=" + strconv.FormatInt(r.epoch.Unix(), 10)})
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// sums writes SHA256SUMS as sha256sum does.
func (r *release) sums() error {
	names, err := filepath.Glob(filepath.Join(r.out, "skep*"))
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum.Sum(nil), filepath.Base(name))
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(text.String()), 0o644)
}
