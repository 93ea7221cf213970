package connection

// Rearm has c look at its deadlines anew: what they are made of has changed. Any goroutine.
func Rearm(c *Conn) { c.command(cmdDrain) }
