package connection

// packed is what a connection compresses and decompresses. Its worker adds, any goroutine looks.
type packed struct {
	compressedFrom, compressedTo     Counter
	decompressedFrom, decompressedTo Counter
}

// countPacked counts what the session has compressed and decompressed since the last time.
func (c *Conn) countPacked() {
	sent, received := c.s.TakePacked()
	if sent.Frames+sent.Left+received.Frames == 0 {
		return
	}
	st := c.stats()
	st.Compressed.Add(sent.Frames)
	st.CompressedFrom.Add(sent.Plain)
	st.CompressedTo.Add(sent.Wire)
	st.CompressedInVain.Add(sent.Left)
	st.Decompressed.Add(received.Frames)
	st.DecompressedFrom.Add(received.Wire)
	st.DecompressedTo.Add(received.Plain)
	x := c.traffic.troubled()
	x.compressedFrom.Add(sent.Plain)
	x.compressedTo.Add(sent.Wire)
	x.decompressedFrom.Add(received.Wire)
	x.decompressedTo.Add(received.Plain)
}

// agreement is what was agreed on with the peer.
type agreement struct{ algorithm, whyNot string }

// sayCompression logs what was agreed on, if it is not what it was.
func (c *Conn) sayCompression() {
	algorithm, whyNot := c.s.Compressed()
	var old agreement
	if i := c.Seen.peer.Load(); i != nil && i.compression != nil {
		old = *i.compression
	}
	if old == (agreement{algorithm, whyNot}) {
		return
	}
	if algorithm != "" {
		c.sh.Log.Debug("compressed connection", "conn", c, "algorithm", algorithm)
	} else {
		c.sh.Log.Debug("connection without compression", "conn", c, "why", whyNot)
	}
}

// showCompression is for ConnStats.
func (s *ConnStats) showCompression(c *Conn, a *agreement) {
	if a != nil {
		s.Compression, s.Uncompressed = a.algorithm, a.whyNot
	}
	if x := c.traffic.trouble.Load(); x != nil {
		s.CompressedFrom, s.CompressedTo = x.compressedFrom.Load(), x.compressedTo.Load()
		s.DecompressedFrom, s.DecompressedTo = x.decompressedFrom.Load(), x.decompressedTo.Load()
	}
}
