//go:build !js

package top

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Watch shows the connections on the terminal w until a key or ctx ends it. It fails if the
// socket does not answer at the beginning; later it goes on asking.
func Watch(ctx context.Context, w io.Writer, o Options) error { return watch(ctx, w, o) }

func watch(ctx context.Context, w io.Writer, o Options, more ...tea.ProgramOption) error {
	first, err := Ask(o.Path, o.Max, o.Timeout)
	if err != nil {
		return err
	}
	m := newModel(o, func() (*Sample, error) { return Ask(o.Path, o.Max, o.Timeout) })
	m.screen.Take(time.Now(), first, nil)
	options := append([]tea.ProgramOption{tea.WithContext(ctx), tea.WithOutput(w), tea.WithoutSignalHandler()}, more...)
	_, err = tea.NewProgram(m, options...).Run()
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	return err
}

// model is a Screen as bubbletea wants it: it asks every interval, one question at a time.
type model struct {
	screen *Screen
	ask    func() (*Sample, error)
	now    func() time.Time
}

func newModel(o Options, ask func() (*Sample, error)) *model {
	return &model{&Screen{Path: o.Path, Interval: o.Interval, Order: o.Order, Filter: o.Filter}, ask, time.Now}
}

// due says that it is time to ask, answered what came of it.
type (
	due      struct{}
	answered struct {
		at     time.Time
		sample *Sample
		err    error
	}
)

func (m *model) wait() tea.Cmd {
	return tea.Tick(m.screen.Interval, func(time.Time) tea.Msg { return due{} })
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd { return m.wait() }

// Update implements tea.Model.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.screen.Resize(msg.Width, msg.Height)
	case tea.KeyPressMsg:
		if m.screen.Key(msg.String(), msg.Text) {
			return m, tea.Quit
		}
	case due:
		return m, func() tea.Msg {
			s, err := m.ask()
			return answered{m.now(), s, err}
		}
	case answered:
		m.screen.Take(msg.at, msg.sample, msg.err)
		return m, m.wait()
	}
	return m, nil
}

// View implements tea.Model.
func (m *model) View() tea.View {
	v := tea.NewView(m.screen.View(m.now()))
	v.AltScreen = true
	return v
}
