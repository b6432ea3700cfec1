// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

type exportFlags struct {
	filterFlags
	since, until string
	output       string
}

const exportLong = `Write records of the disk log into a file, or to the standard output (-).

` + whenHelp + `

` + filterHelp + `

Output (-o):

    parquet  one Parquet file with the columns of all kinds, named as in JSON
    jsonl    one JSON object per line, as "skep observe -o json" prints

The file is there whole or not at all: with several hosts (-o jsonl) only if all
have answered; the standard output, a device or a FIFO has what there is. Where records are missing
because a file of the disk log is damaged, the standard error says which; jsonl
has a record of kind loss and place store instead.

Exit status as in "skep --help".`

const exportExample = `  # Yesterday, for another tool
  skep export --since 24h yesterday.parquet

  # What a container did in an hour, as lines
  skep export -o jsonl --since 10:00 --until 11:00 --container web - | jq .kind`

func (a *app) exportCmd() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:               "export FILE|-",
		Annotations:       asksMany,
		Short:             "Write records of the disk log into a file",
		Long:              exportLong,
		Example:           exportExample,
		ValidArgsFunction: completeFile,
		Args:              takes(1, 1, "the file to write, or - for the standard output"),
		PreRunE:           func(*cobra.Command, []string) error { return checkOutput(f.output, "parquet", "jsonl") },
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		req, err := f.request(a, time.Now())
		if err != nil {
			return err
		}
		if a.many() && f.output == "parquet" {
			return usage("a Parquet file has the records of one host; name one, or use -o jsonl")
		}
		if args[0] == "-" && f.output == "parquet" && a.screen.terminal {
			return usage("a Parquet file is not for a terminal; name a file, or pipe it")
		}
		return a.into(cmd.Context(), args[0], func() error {
			return a.withRunningAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
				if f.output == "jsonl" {
					return a.exportLines(ctx, c, req)
				}
				return a.exportParquet(ctx, c, req)
			})(cmd, args)
		})
	}
	f.registerKinds(cmd)
	f.register(cmd)
	f.registerAddresses(cmd)
	f.registerPaths(cmd)
	cmd.Flags().StringVar(&f.since, "since", "", "what is at most this old, or happened since this time (default: all)")
	cmd.Flags().StringVar(&f.until, "until", "", "what happened until this time")
	outputFlag(cmd, &f.output, "parquet", "parquet", "jsonl")
	return cmd
}

func (f *exportFlags) request(a *app, now time.Time) (*skepv1.ExportRequest, error) {
	filter, err := f.filter(a)
	if err != nil {
		return nil, err
	}
	req := &skepv1.ExportRequest{Filter: filter, From: timestamppb.New(time.Unix(0, 0))}
	since, until, err := parsePeriod(f.since, f.until, now)
	if err != nil {
		return nil, err
	}
	if since != nil {
		req.From = timestamppb.New(since.time(now))
	}
	if until != nil {
		req.Until = timestamppb.New(until.time(now))
	}
	return req, nil
}

func (a *app) exportLines(ctx context.Context, c *client, req *skepv1.ExportRequest) error {
	stream, err := c.Observe(ctx, &skepv1.ObserveRequest{Filter: req.Filter, From: req.From, Until: req.Until})
	if err != nil {
		return err
	}
	defer stream.Close()
	return a.copyRecords(stream, bufio.NewWriterSize(a.out, 64<<10), jsonPrinter{a}, 0)
}

func (a *app) exportParquet(ctx context.Context, c *client, req *skepv1.ExportRequest) error {
	stream, err := c.Export(ctx, req)
	if err != nil {
		return err
	}
	defer stream.Close()
	records := uint64(0)
	for stream.Receive() {
		if _, err := a.out.Write(stream.Msg().GetData()); err != nil {
			return wrapWrite(err)
		}
		records = stream.Msg().GetRecords()
		a.warnMissing(stream.Msg().GetMissing())
		if err := a.warnUndecided(stream.Msg().GetUndecided(), int(records)); err != nil {
			return err
		}
	}
	if err := stream.Err(); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "skep: %d records\n", records)
	return nil
}

// warnMissing says which files of the disk log an answer had to do without.
func (a *app) warnMissing(files []string) {
	for _, file := range files {
		fmt.Fprintln(a.err, "skep: missing:", event.Printable(file))
	}
}
