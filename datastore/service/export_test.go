package service

import "time"

// Impatient lets Hold wait no longer than that.
func (c *Client) Impatient(d time.Duration) *Client {
	c.patience = d
	return c
}
