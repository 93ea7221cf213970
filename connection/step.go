package connection

// startStep has a slow step of the authentication run (session.OutAuthenticate), by
// somebody else than the worker.
func (c *Conn) startStep() {
	step := c.s.AuthStep()
	if step == nil {
		return // its transport has ended since
	}
	job := func() {
		defer func() { // also if it ends the goroutine
			if step.Due() {
				c.command(cmdStep)
			}
		}()
		step.Run()
	}
	if c.sh.Execute == nil {
		job()
	} else if err := c.sh.Execute(HostOf(c.t.RemoteAddr().Addr()), job); err != nil {
		c.enter()
		c.s.RefuseStep(c.now(), err)
		c.leave()
	}
}
