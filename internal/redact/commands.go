// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"slices"
	"strings"
)

// how an option of a command is given its secret.
type how uint8

const (
	glued    how = 1 << iota // -pSECRET
	separate                 // -p SECRET
	clusters                 // -sup SECRET too: letters of options without a value before it
)

// flag is an option that means a secret to some commands only.
type flag struct {
	name string
	how  how
	// after is what separates the secret from what is before it in the value; 0: nothing is.
	after byte
}

// command is a family of programs with the same flags.
type command struct {
	// names of programs; one that ends in "*" stands for all that start so.
	names []string
	flags []flag
	// sub is the subcommand without which the flags mean something else.
	sub string
	// bare: a secret's name without dashes has its value behind it too.
	bare bool
}

// commands are the programs whose short options carry secrets. Long options are known by
// their names, whatever the command.
var commands = []command{
	{names: []string{"mysql*", "mariadb*"}, flags: []flag{{"-p", glued, 0}}},
	{names: []string{"sshpass"}, flags: []flag{{"-p", glued | separate, 0}}},
	{names: []string{"curl"}, flags: []flag{
		{"-u", glued | separate | clusters, ':'}, {"-U", glued | separate | clusters, ':'}, {"-b", glued | separate | clusters, 0},
		{"--user", separate, ':'}, {"--proxy-user", separate, ':'}, {"-E", glued | separate, ':'}, {"--cert", separate, ':'},
	}},
	{names: []string{"docker", "podman", "nerdctl", "buildah", "skopeo", "helm", "oras", "crane"}, sub: "login",
		flags: []flag{{"-p", glued | separate, 0}}},
	{names: []string{"redis-cli"}, flags: []flag{{"-a", separate, 0}}},
	{names: []string{"mongo*"}, flags: []flag{{"-p", glued | separate, 0}}},
	{names: []string{"ldap*"}, flags: []flag{{"-w", glued | separate, 0}}},
	{names: []string{"sqlcmd", "bcp", "ipmitool"}, flags: []flag{{"-P", glued | separate, 0}}},
	{names: []string{"zip", "unzip"}, flags: []flag{{"-P", glued | separate, 0}}},
	{names: []string{"7z", "7za", "7zr", "7zz"}, flags: []flag{{"-p", glued, 0}}},
	{names: []string{"smbclient", "rpcclient"}, flags: []flag{{"-U", glued | separate, '%'}}},
	{names: []string{"lftp"}, flags: []flag{{"-u", separate, ','}}},
	{names: []string{"snmp*"}, flags: []flag{{"-c", separate, 0}, {"-A", separate, 0}, {"-X", separate, 0}}},
	{names: []string{"openssl"}, flags: []flag{{"-k", separate, 0}, {"-K", separate, 0}}},
	{names: []string{"useradd", "usermod"}, flags: []flag{{"-p", glued | separate, 0}}},
	{names: []string{"xfreerdp*", "wlfreerdp*"}, flags: []flag{{"/p:", glued, 0}}},
	{names: []string{"nmcli"}, bare: true},
	{names: []string{"npm", "yarn", "pnpm", "git"}, sub: "config", bare: true},
	{names: []string{"aws"}, sub: "configure", bare: true},
}

// commandOf finds the family of a program by the last part of its path; nil if it has none.
func commandOf(word []byte) *command {
	name := word[bytes.LastIndexByte(word, '/')+1:]
	if len(name) < 2 || len(name) > 32 {
		return nil
	}
	for i := range commands {
		if slices.ContainsFunc(commands[i].names, func(pattern string) bool { return isProgram(pattern, name) }) {
			return &commands[i]
		}
	}
	return nil
}

func isProgram(pattern string, name []byte) bool {
	if start, open := strings.CutSuffix(pattern, "*"); open {
		return bytes.HasPrefix(name, []byte(start))
	}
	return string(name) == pattern
}

// find returns the flag that a word is, and where in the word its value begins; that is
// the word's length if the value is the next word.
func (c *command) find(word []byte) (f flag, value int, ok bool) {
	for _, f := range c.flags {
		if value, ok := f.value(word); ok {
			return f, value, true
		}
	}
	return flag{}, 0, false
}

func (f flag) value(word []byte) (int, bool) {
	at := len(f.name)
	if f.how&clusters != 0 && len(word) > 1 && word[0] == '-' && word[1] != '-' {
		i := bytes.IndexByte(word, f.name[1])
		if i < 1 || !allLetters(word[1:i]) {
			return 0, false
		}
		at = i + 1
	} else if !bytes.HasPrefix(word, []byte(f.name)) {
		return 0, false
	}
	if at == len(word) {
		return at, f.how&separate != 0
	}
	return at, f.how&glued != 0
}

func allLetters(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c > 0x7f || !isUpper(byte(c)) && !isLower(byte(c)) })
}
