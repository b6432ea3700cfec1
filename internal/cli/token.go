// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/durationpb"

	skepv1 "github.com/skep-io/skep/api/skep/v1"
	"github.com/skep-io/skep/internal/event"
)

const defaultListen = "127.0.0.1:7537"

var roles = map[string]skepv1.Role{"view": skepv1.Role_ROLE_VIEW, "operate": skepv1.Role_ROLE_OPERATE, "admin": skepv1.Role_ROLE_ADMIN}

func roleName(r skepv1.Role) string {
	if r == skepv1.Role_ROLE_UNSPECIFIED {
		return "none"
	}
	return strings.ToLower(strings.TrimPrefix(r.String(), "ROLE_"))
}

const tokenLong = `Make a token with which the web page, or another program, acts for you until it
expires. It has at most your own role and cannot make tokens itself. Only the
token is printed; keep it as you would a password.

Exit status: 4 when the role asked for is more than your own. Others as in
"skep --help".`

const tokenExample = `  # A link to the page of "skep serve", for eight hours
  skep token --url

  # A token for a script
  skep token --ttl 15m`

func (a *app) tokenCmd() *cobra.Command {
	var role, listen, output string
	var ttl time.Duration
	var url bool
	cmd := &cobra.Command{
		Use:         "token",
		Annotations: asksOne,
		Short:       "Make a short-lived token for the web page",
		Long:        tokenLong,
		Example:     tokenExample,
		Args:        noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if url && output == "json" {
				return usage("--url and -o json exclude each other")
			}
			return errors.Join(checkToken(role, ttl), checkOutput(output, "text", "json"))
		},
		RunE: a.withRunningAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			got, err := c.CreateToken(ctx, &skepv1.CreateTokenRequest{Role: roles[role], Ttl: durationpb.New(ttl)})
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(a, got)
			}
			fmt.Fprintf(a.err, "skep: role %s, expires %s\n", roleName(got.GetRole()), got.GetExpires().AsTime().Local().Format(time.RFC3339))
			line := got.GetToken()
			if url {
				line = pageURL(listen, line)
			}
			return a.print(line + "\n")
		}),
	}
	outputFlag(cmd, &output, "text", "text", "json")
	flags := cmd.Flags()
	flags.StringVar(&role, "role", "view", "role of the token: view, operate or admin; at most your own")
	flags.DurationVar(&ttl, "ttl", 8*time.Hour, "lifetime, at most 24h")
	flags.BoolVar(&url, "url", false, "print the link to the page instead")
	flags.StringVar(&listen, "listen", defaultListen, "where skep serve listens, for --url")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{"view", "operate", "admin"}, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
	return cmd
}

func checkToken(role string, ttl time.Duration) error {
	if _, ok := roles[role]; !ok {
		return usage("--role %q: must be view, operate or admin", role)
	}
	if ttl <= 0 || ttl > 24*time.Hour {
		return usage("--ttl %v: must be more than 0 and at most 24h", ttl)
	}
	return nil
}

func pageURL(listen, token string) string { return "http://" + listen + "/?token=" + token }

func (a *app) whoamiCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:         "whoami",
		Annotations: asksMany,
		Short:       "Show who you are to the agent",
		Long:        "Show the user that the agent takes you for, and the role that it gives you.\n\nExit status as in \"skep --help\".",
		Example:     "  skep whoami\n  skep whoami -o json",
		Args:        noArgs,
		PreRunE:     func(*cobra.Command, []string) error { return checkOutput(output, "table", "json") },
		RunE: a.withRunningAgent(func(ctx context.Context, a *app, c *client, _ []string) error {
			got, err := c.GetIdentity(ctx, &skepv1.GetIdentityRequest{})
			if err != nil {
				return err
			}
			if output == "json" {
				return printJSON(a, got)
			}
			return a.print(fmt.Sprintf("%s (uid %d), role %s\n", event.Printable(or(got.GetUser(), "unnamed user")), got.GetUid(), roleName(got.GetRole())))
		}),
	}
	outputFlag(cmd, &output, "table", "table", "json")
	return cmd
}

func (a *app) versionCmd() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:         "version",
		Annotations: asksMany,
		Short:       "Show the versions of skep and of the agent",
		Long:        "Show the version of this program and, where an agent answers, of the agent.\n\nExit status: 0, also when no agent answers here; with -H as in \"skep --help\".",
		Example:     "  skep version\n  skep version -o json",
		Args:        noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if output == "json" && len(a.hosts) > 0 {
				return usage("-o json is of this host: ask others for their status")
			}
			return checkOutput(output, "text", "json")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "json" {
				return a.versionJSON(cmd.Context())
			}
			if len(a.hosts) == 0 {
				return a.print("skep  " + a.version + "\nskepd " + a.agentVersion(cmd.Context()) + "\n")
			}
			if err := a.print("skep  " + a.version + "\n"); err != nil {
				return err
			}
			return a.askHosts(cmd.Context(), args, showAgentVersion)
		},
	}
	outputFlag(cmd, &output, "text", "text", "json")
	return cmd
}

// versionJSON leaves skepd out where no agent says its version.
func (a *app) versionJSON(ctx context.Context) error {
	versions := struct {
		Skep  string `json:"skep"`
		Skepd string `json:"skepd,omitempty"`
	}{Skep: a.version}
	versions.Skepd, _ = a.askVersion(ctx)
	return json.NewEncoder(a.out).Encode(versions)
}

// showAgentVersion is a question.
func showAgentVersion(ctx context.Context, a *app, c *client, _ []string) error {
	s, err := c.GetStatus(ctx, &skepv1.GetStatusRequest{})
	if err != nil {
		return err
	}
	return a.print("skepd " + event.Printable(s.GetVersion()) + "\n")
}

func (a *app) agentVersion(ctx context.Context) string {
	version, err := a.askVersion(ctx)
	if err != nil {
		return "(" + message(err) + ")"
	}
	return event.Printable(version)
}

func (a *app) askVersion(ctx context.Context) (string, error) {
	if probe(ctx, a.socket) != nil {
		return "", errors.New("no agent answers at " + a.socket)
	}
	c := newClient(a.socket, a.timeout)
	defer c.close()
	s, err := c.GetStatus(ctx, &skepv1.GetStatusRequest{})
	return s.GetVersion(), err
}
