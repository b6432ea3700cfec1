// SPDX-License-Identifier: Apache-2.0

// Package install puts skep on a host, and takes it off again.
//
// Problem: a host's administrator must be able to undo what an installer did, and to know
// it beforehand. Mechanism: Install and Uninstall make a plan, which is data and looks at
// nothing; Plan.Run carries it out in order and, if a step fails, takes back what the
// steps before it have made. Invariants: nothing that was there is overwritten but skep's
// own programs and units; the configuration and the data stay unless they are purged.
package install

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"text/template"

	"github.com/skep-io/skep/internal/config"
)

// Accounts that skep's defaults in skep.yaml name.
const (
	viewGroup    = "skep"
	operateGroup = "skep-operators"
	webUser      = "skep-web"
)

// logDir is where files of ship lie by default; the unit makes it.
const logDir = "/var/log/skep"

// Programs are what is installed, by their names beside each other.
var Programs = []string{"skepd", "skep"}

//go:embed skepd.service skep-web.service
var units embed.FS

// unitNames in the order in which they start.
var unitNames = []string{"skepd.service", "skep-web.service"}

// Options say what to install and where.
type Options struct {
	// From is the directory of the programs; "" if a package manager has laid the files.
	From string
	// Root is the directory that stands for "/". With another than "/" files are laid and
	// nothing else: accounts and services are the running system's.
	Root string
	// Prefix is where bin/ is: /usr/local, /usr.
	Prefix string
	// Systemd says whether systemd runs here.
	Systemd bool
	// Web starts the page too.
	Web bool
	// Upgrade: a package manager has put this in place of an older one. Services that run are
	// started anew; those that the administrator has stopped or disabled stay so.
	Upgrade bool
	// Config is the configuration in force, for Uninstall.
	Config config.Config
	// Defaults: the file has faults, and Config is the default one.
	Defaults bool
	// Purge makes Uninstall remove configuration, data and accounts.
	Purge bool
}

func (o Options) live() bool { return o.Root == "" || o.Root == "/" }

func (o Options) path(elem ...string) string {
	return filepath.Join(append([]string{"/", o.Root}, elem...)...)
}

func (o Options) program(name string) string { return o.path(o.Prefix, "bin", name) }

// unitPath: what a package brings lies below its own prefix, the administrator's in /etc.
func (o Options) unitPath(name string) string {
	if o.Prefix == "/usr" {
		return o.path("/usr/lib/systemd/system", name)
	}
	return o.path("/etc/systemd/system", name)
}

// action is a step of a plan.
type action interface {
	fmt.Stringer
	do() error
	// undo takes back what do has made, and not what was there before.
	undo() error
}

// Plan is what will be done, in order.
type Plan []action

// Run carries the plan out and writes a line for each step. On a failure it takes back what it
// has made, the last first.
func (p Plan) Run(out io.Writer) error {
	for i, a := range p {
		fmt.Fprintln(out, a)
		err := a.do()
		if err == nil {
			continue
		}
		errs := []error{err}
		for _, done := range slices.Backward(p[:i]) {
			errs = append(errs, done.undo())
		}
		return errors.Join(errs...)
	}
	return nil
}

// Describe writes the plan and does nothing.
func (p Plan) Describe(out io.Writer) {
	for _, a := range p {
		fmt.Fprintln(out, a)
	}
}

// Install plans an installation, or an upgrade.
func Install(o Options) (Plan, error) {
	var p Plan
	if o.From != "" {
		files, err := layFiles(o)
		if err != nil {
			return nil, err
		}
		p = append(p, files...)
	}
	if !o.live() {
		return p, nil
	}
	p = append(p, &group{name: viewGroup}, &group{name: operateGroup}, &user{name: webUser})
	if !o.Systemd {
		return p, nil
	}
	p = append(p, systemctl("daemon-reload"))
	if o.Upgrade {
		for _, name := range unitNames {
			p = append(p, systemctl("try-restart", name))
		}
		return p, nil
	}
	p = append(p, &enabled{unit: "skepd.service"}, systemctl("restart", "skepd.service"))
	if o.Web {
		p = append(p, &enabled{unit: "skep-web.service"}, systemctl("restart", "skep-web.service"))
	}
	return p, nil
}

func layFiles(o Options) (p Plan, err error) {
	for _, name := range Programs {
		p = append(p, &file{path: o.program(name), source: filepath.Join(o.From, name), mode: 0o755})
	}
	for _, name := range unitNames {
		text, err := unit(name, filepath.Join("/", o.Prefix, "bin"))
		if err != nil {
			return nil, err
		}
		p = append(p, &file{path: o.unitPath(name), text: text, mode: 0o644})
	}
	// It may come to hold the tokens of receivers.
	return append(p, &file{path: o.path(config.DefaultPath), text: []byte(config.DefaultYAML), mode: 0o600, keep: true}), nil
}

func unit(name, bin string) ([]byte, error) {
	t, err := template.ParseFS(units, name)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, struct{ Bin string }{bin}); err != nil {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	return text.Bytes(), nil
}

// Uninstall plans the removal: services first, then the kernel side, then files.
func Uninstall(o Options) Plan {
	var p Plan
	if o.Systemd && o.live() {
		p = append(p, disable("skep-web.service"), disable("skepd.service"))
	}
	if o.live() {
		p = append(p, &kernelSide{o.program("skepd"), o.Config, o.Defaults})
	}
	if o.From != "" {
		for _, name := range unitNames {
			p = append(p, &removal{path: o.unitPath(name)})
		}
		if o.Systemd && o.live() {
			p = append(p, systemctl("daemon-reload"))
		}
		for _, name := range Programs {
			p = append(p, &removal{path: o.program(name)})
		}
	}
	if o.Purge {
		p = append(p, &purge{o.path(o.Config.DataDir), "node_id"}, &purge{o.path(logDir), "."}, &purge{o.path(filepath.Dir(config.DefaultPath)), "skep.yaml"})
		if o.live() {
			p = append(p, &account{"user", webUser}, &account{"group", operateGroup}, &account{"group", viewGroup})
		}
	}
	return append(p, elsewhere(o)...)
}

// elsewhere are the files that a configuration has put outside the directories that a purge
// removes: of them only the administrator knows whose they are. A package's scripts
// purge when there is no configuration any more, and know the default directory only.
func elsewhere(o Options) (p Plan) {
	dataDir := o.Config.DataDir
	if o.From == "" {
		dataDir = config.Default().DataDir
	} else if !o.Purge {
		return nil
	}
	stays := func(key, path string) {
		if path != "" && !within(path, dataDir) && !within(path, logDir) {
			p = append(p, &left{key, o.path(path)})
		}
	}
	stays("data_dir", o.Config.DataDir)
	stays("store.dir", o.Config.Store.Dir)
	stays("audit.path", o.Config.Audit.Path)
	for _, name := range slices.Sorted(maps.Keys(o.Config.Ship)) {
		stays("ship."+name+".file", o.Config.Ship[name].File.Path)
	}
	return p
}

// within tells whether a path is that of a directory, or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
