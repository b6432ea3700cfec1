// SPDX-License-Identifier: Apache-2.0

package agent

import "github.com/skep-io/skep/internal/server"

func (a *Agent) openSocket() error {
	l, err := server.Listen(a.options.Config.Socket, a.logger)
	if err != nil {
		return err
	}
	a.listeners = append(a.listeners, l)
	return nil
}

func (a *Agent) openListener() error {
	c := a.options.Config.Listen
	if c.Address == "" {
		return nil
	}
	l, err := server.ListenTLS(server.TLSOptions{Address: c.Address, Cert: c.Cert, Key: c.Key, ClientCA: c.ClientCA, Users: c.Users}, a.logger)
	if err != nil {
		return err
	}
	a.listeners = append(a.listeners, l)
	a.logger.Info("the API is served over TCP", "address", l.Addr())
	return nil
}
