// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxOutput bounds what a guest may print on one port, in bytes.
const maxOutput = 64 << 20

// machine is one QEMU process to be.
type machine struct {
	kernel Kernel
	image  *Image
	guest  Guest
	initrd string
	// mark begins the lines of the second port that marked is told, each with the time since the start.
	mark   string
	marked func(line string, at time.Duration)
}

// ports is what came out of the serial ports, and how long that took.
type ports struct {
	console, output string
	total           time.Duration
}

// args are the flags measured to work with Debian 12's QEMU 7.2; -M microvm hangs. File descriptor 3 is the second
// serial port.
func (m machine) args() []string {
	// Without erms and fsrm kernels copy and clear by words, with them by single bytes, which an emulator does one by one:
	// a tenth of the time of tests that start agents.
	cpu := "max,la57=off,erms=off,fsrm=off"
	if !m.kernel.CX16 {
		cpu += ",cx16=off"
	}
	// One thread takes turns with the CPUs. With a thread for each (the default), QEMU before 8.1 translates code on one
	// CPU while another writes it: attaching to a tracepoint patches the kernel's text, and the kernel now and then died
	// of the int3 that such a patch begins with.
	args := []string{"-M", "q35", "-cpu", cpu, "-accel", "tcg,thread=single"}
	if m.guest.ICount {
		args = append(args, "-icount", "shift=0,sleep=off", "-smp", "1")
	} else {
		args = append(args, "-smp", "2")
	}
	return append(args,
		"-m", strconv.Itoa(m.guest.MemMiB)+"M", "-net", "none", "-no-reboot",
		// -nographic would be the same, but for SeaBIOS writing terminal codes to the serial port.
		"-display", "none", "-monitor", "none", "-serial", "stdio", "-serial", "file:/proc/self/fd/3",
		"-kernel", m.image.Vmlinuz, "-initrd", m.initrd,
		"-append", m.kernel.commandLine(),
	)
}

func (k Kernel) commandLine() string {
	// oops=panic: a kernel that hurt itself must not go on and pass.
	line := "console=ttyS0 quiet panic=-1 oops=panic lsm=" + k.LSM
	if k.Lockdown != "" {
		line += " lockdown=" + k.Lockdown
	}
	return line
}

// run starts QEMU and waits for its end. What the ports said is returned in any case.
func (m machine) run(ctx context.Context) (ports, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, w, err := os.Pipe()
	if err != nil {
		return ports{}, err
	}
	defer r.Close()
	var live sync.Mutex
	start := time.Now()
	console := &capture{start: start, live: m.guest.Output, mu: &live, overflow: cancel}
	output := &capture{mark: []byte(m.mark), marked: m.marked, start: start, live: m.guest.Output, mu: &live, overflow: cancel}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = console, &stderr, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Start()
	_ = w.Close()
	if err != nil {
		return ports{}, fmt.Errorf("start qemu: %w; install qemu-system-x86", err)
	}
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(output, r) // ends when QEMU, the only writer, is gone
		close(copied)
	}()
	err = cmd.Wait()
	<-copied
	p := ports{console: console.text(), output: output.text(), total: time.Since(start)}
	return p, explain(ctx, err, stderr.String())
}

// explain prefers the reason why we killed QEMU over "signal: killed".
func explain(ctx context.Context, err error, stderr string) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(fmt.Errorf("qemu: %w: %s", err, tail(strings.TrimSpace(stderr), 5)))
}

// capture keeps what a port says, tells of the lines that are marked when they come, and shows all live.
type capture struct {
	start    time.Time
	mark     []byte
	marked   func(line string, at time.Duration)
	searched int // how many bytes of buf have been searched for the mark
	buf      bytes.Buffer
	live     io.Writer
	mu       *sync.Mutex // shared by the captures that write to live
	overflow context.CancelCauseFunc
}

func (c *capture) Write(p []byte) (int, error) {
	if c.buf.Len()+len(p) > maxOutput {
		c.overflow(fmt.Errorf("the guest printed more than %d MiB", maxOutput>>20))
		return len(p), nil
	}
	c.buf.Write(p)
	if c.marked != nil {
		c.tell()
	}
	if c.live != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = c.live.Write(p)
	}
	return len(p), nil
}

// tell finds the marked lines that are whole now, and leaves the beginning of one for when its end has come.
func (c *capture) tell() {
	for {
		text := c.buf.Bytes()[c.searched:]
		at := bytes.Index(text, c.mark)
		if at < 0 {
			c.searched += max(0, len(text)-len(c.mark)+1)
			return
		}
		line, _, whole := bytes.Cut(text[at+len(c.mark):], []byte("\n"))
		if !whole {
			c.searched += at
			return
		}
		c.searched += at + len(c.mark) + len(line)
		c.marked(string(line), time.Since(c.start))
	}
}

func (c *capture) text() string { return strings.ReplaceAll(c.buf.String(), "\r\n", "\n") }
