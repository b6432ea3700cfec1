// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
	"github.com/skep-io/skep/internal/redact"
)

const sysdumpLong = `Collect what helps to help you into one archive (tar.gz): versions, status,
doctor, the agent's programs and maps, its configuration, its last log lines, and
the service's journal where it can be read. No record, no process and no
connection is in it, and passwords and tokens are replaced by [redacted]; look
into it all the same before you send it.

Without an agent it has what can be had without one. What could not be had is
listed in missing.txt.

Exit status: 0 if the archive was written. Others as in "skep --help".`

func (a *app) sysdumpCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "sysdump",
		Short:   "Collect what helps to find a fault into one archive",
		Long:    sysdumpLong,
		Example: "  sudo skep sysdump\n  skep sysdump -o - | ssh helper 'cat > dump.tar.gz'",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.sysdump(cmd.Context(), output) },
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", `file to write, "-" for standard output (default skep-sysdump-HOST-TIME.tar.gz)`)
	_ = cmd.MarkFlagFilename("output", "tar.gz") // fails only for a flag that is not there
	return cmd
}

func (a *app) sysdump(ctx context.Context, output string) error {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	top := fmt.Sprintf("skep-sysdump-%s-%s", strings.Map(fileName, host), time.Now().UTC().Format("20060102T150405Z"))
	rules, err := redact.Compile(redact.Options{Defaults: true})
	if err != nil {
		return err
	}
	d := &dump{app: a, rules: rules}
	d.collect(ctx)
	if output == "-" {
		return d.write(a.out, top)
	}
	if output == "" {
		output = top + ".tar.gz"
	}
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the archive: %w; name another file with --output", err)
	}
	if err := errors.Join(d.write(f, top), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write the archive: %w", err), os.Remove(output))
	}
	return a.print(output + "\n")
}

// fileName keeps what is safe in a file's name.
func fileName(r rune) rune {
	if r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
		return r
	}
	return '_'
}

// dump is what goes into the archive.
type dump struct {
	*app
	rules   *redact.Rules
	files   []dumpFile
	missing strings.Builder
}

type dumpFile struct {
	name string
	text []byte
}

// add cleans once more what others say they have cleaned.
func (d *dump) add(name, text string) {
	d.files = append(d.files, dumpFile{name, d.rules.Text([]byte(text))})
}

func (d *dump) lacks(name string, err error) { fmt.Fprintf(&d.missing, "%s: %s\n", name, message(err)) }

func (d *dump) collect(ctx context.Context) {
	d.add("versions.txt", d.versions(ctx))
	if absent := probe(ctx, d.socket); absent != nil {
		d.lacks("the agent", d.explainAbsent(absent))
		if doctor, err := examineWithout(ctx); err != nil {
			d.lacks("doctor", err)
		} else {
			d.addDoctor(doctor)
		}
	} else {
		c := newClient(d.socket, d.timeout)
		defer c.close()
		d.ask(ctx, c)
	}
	d.journal(ctx)
	if d.missing.Len() > 0 {
		d.add("missing.txt", d.missing.String())
	}
}

func (d *dump) versions(ctx context.Context) string {
	var name unix.Utsname
	kernel := "unknown"
	if unix.Uname(&name) == nil {
		kernel = unix.ByteSliceToString(name.Release[:]) + " " + unix.ByteSliceToString(name.Version[:]) + " " + unix.ByteSliceToString(name.Machine[:])
	}
	system, _ := os.ReadFile("/etc/os-release") // not there in some containers
	return fmt.Sprintf("skep   %s\nskepd  %s\nkernel %s\ntime   %s\n\n%s", d.version, d.agentVersion(ctx), kernel, time.Now().UTC().Format(time.RFC3339), system)
}

// ask gets what only the agent knows.
func (d *dump) ask(ctx context.Context, c *client) {
	if s, err := c.GetStatus(ctx, &skepv1.GetStatusRequest{}); err != nil {
		d.lacks("status", err)
	} else {
		d.addJSON("status.json", s)
		plain := *d.app
		plain.screen = screen{}
		d.add("status.txt", plain.statusPage(s))
		d.add("programs.txt", programList(s))
	}
	if doctor, err := c.GetDoctor(ctx, &skepv1.GetDoctorRequest{}); err != nil {
		d.lacks("doctor", err)
	} else {
		d.addDoctor(doctor)
	}
	more, err := c.GetDiagnostics(ctx, &skepv1.GetDiagnosticsRequest{})
	if err != nil {
		d.lacks("configuration and log", err)
		return
	}
	d.add("skep.yaml", more.GetConfig())
	d.add("agent.log", more.GetLog())
	d.add("build.txt", more.GetBuild())
	d.add("kernel-command-line.txt", more.GetKernelCommandLine()+"\n")
}

func (d *dump) addDoctor(doctor *skepv1.GetDoctorResponse) {
	d.addJSON("doctor.json", doctor)
	d.add("doctor.txt", doctorPage(screen{}, doctor, true))
}

func (d *dump) addJSON(name string, m proto.Message) {
	d.add(name, string(event.AppendJSON(nil, m))+"\n")
}

// programList shows programs and maps as bpftool would, one a line.
func programList(s *skepv1.GetStatusResponse) string {
	var text strings.Builder
	for _, p := range s.GetPrograms() {
		fmt.Fprintf(&text, "prog %d: %s at %s, %d instructions, %d runs, %d ns, %d missed\n",
			p.GetId(), event.Printable(p.GetName()), event.Printable(p.GetHook()), p.GetInstructions(), p.GetRuns(), p.GetRunTimeNs(), p.GetMissed())
	}
	for _, m := range s.GetMemory().GetMaps() {
		fmt.Fprintf(&text, "map %s: %s, %d entries, %d bytes\n", event.Printable(m.GetName()), event.Printable(m.GetType()), m.GetMaxEntries(), m.GetBytes())
	}
	return text.String()
}

// journal has what earlier agents said, where systemd keeps it.
func (d *dump) journal(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "journalctl", "--unit=skepd", "--lines=2000", "--no-pager", "--output=short-iso").Output()
	if err != nil {
		d.lacks("the journal", err)
		return
	}
	d.add("journal.txt", string(out))
}

func (d *dump) write(out io.Writer, top string) error {
	compressed := gzip.NewWriter(out)
	archive := tar.NewWriter(compressed)
	for _, f := range d.files {
		header := &tar.Header{Name: filepath.Join(top, f.name), Mode: 0o600, Size: int64(len(f.text)), ModTime: time.Now(), Format: tar.FormatPAX}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(f.text); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), compressed.Close())
}
