// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strconv"
	"strings"
)

// Limits is what the agent may cost; 0 is no limit.
type Limits struct {
	CPU    Share `yaml:"cpu"`
	Memory Size  `yaml:"memory"`
}

// Share is a share of one CPU, written 3%: 0.03.
type Share float64

var errShare = errors.New("a share of one CPU such as 3%, 0.5% or 150%")

// maxShare is more CPUs than a host has.
const maxShare = 4096

// ParseShare reads a decimal number with a percent sign.
func ParseShare(s string) (Share, error) {
	digits, ok := strings.CutSuffix(s, "%")
	if !ok || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, errShare
	}
	percent, err := strconv.ParseFloat(digits, 64)
	if err != nil || percent > 100*maxShare {
		return 0, errShare
	}
	return Share(percent / 100), nil
}

// String is the share as it is written.
func (s Share) String() string { return strconv.FormatFloat(float64(s)*100, 'f', -1, 64) + "%" }

const (
	minCPULimit    Share = 0.001
	minMemoryLimit Size  = 16 << 20
	maxMemoryLimit Size  = 1 << 40
)

func cpuLimit(s Share) error {
	if s == 0 {
		return nil
	}
	return between(s, minCPULimit, maxShare)
}

func memoryLimit(s Size) error {
	if s == 0 {
		return nil
	}
	return between(s, minMemoryLimit, maxMemoryLimit)
}
