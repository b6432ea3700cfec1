// SPDX-License-Identifier: Apache-2.0

package kern

import (
	"errors"
	"fmt"
	"slices"
)

// AttachPlace attaches a program of the spec, by its number, to one more place.
func (g *Group) AttachPlace(number int, place Place) error {
	defer lingering.hold()()
	a, failed := g.attach(step{number, g.programs[number][0], []Place{place}})
	if a == nil {
		return fmt.Errorf("attach %s: %w", place.Name, failed[0].Err)
	}
	g.mutex.Lock()
	g.attached = append(g.attached, a)
	g.mutex.Unlock()
	return nil
}

// DetachPlace takes the programs off the places of a name. There may be none.
func (g *Group) DetachPlace(name string) error {
	g.mutex.Lock()
	var gone []*attachment
	g.attached = slices.DeleteFunc(g.attached, func(a *attachment) bool {
		if !slices.Contains(a.names, name) {
			return false
		}
		gone = append(gone, a)
		return true
	})
	g.mutex.Unlock()
	var errs []error
	var events []descriptor
	for _, a := range gone {
		g.keepMissed(a)
		errs = append(errs, a.close())
		events = append(events, a.events...)
	}
	lingering.close(events)
	return errors.Join(errs...)
}
