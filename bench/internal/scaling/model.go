package scaling

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Model is the Universal Scalability Law (Gunther): n workers carry
//
//	X(n) = X1 * n / (1 + Sigma*(n-1) + Kappa*n*(n-1))
//
// messages a second. Sigma is Amdahl's: the part of a message's time in which only one
// worker can be. Kappa is for coherence: what each worker costs each other one, because the
// lines that one has written the other has to fetch. With Kappa, more workers than Peak
// carry less.
type Model struct {
	X1    float64 `json:"x1"`
	Sigma float64 `json:"sigma"`
	Kappa float64 `json:"kappa"`
}

// Rate is X(n).
func (m Model) Rate(n int) float64 {
	k := float64(n)
	return m.X1 * k / (1 + m.Sigma*(k-1) + m.Kappa*k*(k-1))
}

// Peak is the number of workers that carries most; +Inf if there is none.
func (m Model) Peak() float64 {
	switch {
	case m.Sigma >= 1:
		return 1
	case m.Kappa <= 0:
		return math.Inf(1)
	}
	return max(1, math.Sqrt((1-m.Sigma)/m.Kappa))
}

// Point is what so many workers carry.
type Point struct {
	Workers int
	Rate    float64
}

// The errors of Fit.
var (
	ErrNoOne = errors.New("no rate of one worker")
	ErrRate  = errors.New("a rate that is not more than 0")
)

// loss is by how much the time of a message with n workers is longer than a share of n of
// that with one: 0 for a system that scales without loss, negative for one that does better.
func loss(one, x float64, n int) float64 { return float64(n)*one/x - 1 }

// Fitted is a Model, and how it came about.
type Fitted struct {
	Model
	// Loss is 2*X(1)/X(2) - 1, NaN without X(2).
	Loss float64
	// How says what the measurement has decided and what not, for people.
	How string
}

// FitTwo fits the law to one and two workers. Two rates are one ratio, and that is
// Sigma + 2*Kappa: so Sigma is taken from elsewhere, the serial part of a message's time
// (Serial), and Kappa is what is left. two = 0: there is none, and Kappa is 0.
func FitTwo(one, two, serial float64) (f Fitted, err error) {
	if one == 0 {
		return f, ErrNoOne
	}
	if !(one > 0) || two < 0 || math.IsNaN(two) || math.IsInf(one+two, 0) {
		return f, fmt.Errorf("%w: %g with one worker, %g with two", ErrRate, one, two)
	}
	serial = min(max(serial, 0), 1)
	f = Fitted{Model: Model{X1: one, Sigma: serial}, Loss: math.NaN()}
	if two == 0 {
		f.How = "sigma is the serial part; without a rate of two workers nothing is known of kappa, which counts as 0"
		return f, nil
	}
	f.Loss = loss(one, two, 2)
	f.Kappa = max(0, (f.Loss-serial)/2)
	switch {
	case f.Loss < serial:
		f.How = "two workers lose less than the serial part: kappa is 0, or too small to be seen here"
	case two <= one:
		f.How = "two workers carry no more than one: that is contention beyond what the law is for, or a busy machine"
	default:
		f.How = "sigma is the serial part, kappa the rest of what two workers lose"
	}
	return f, nil
}

// Extremes are the two models that say the same of two workers as f and differ most about
// more: that all which is lost is serial, and that all of it is coherence.
func (f Fitted) Extremes() (serial, coherence Model) {
	l := f.Sigma + 2*f.Kappa
	return Model{X1: f.X1, Sigma: min(l, 1)}, Model{X1: f.X1, Kappa: l / 2}
}

// Fit fits the law to three and more numbers of workers, by least squares of the losses,
// with Sigma and Kappa at least 0.
func Fit(points []Point) (m Model, err error) {
	i := slices.IndexFunc(points, func(p Point) bool { return p.Workers == 1 })
	if i < 0 {
		return m, ErrNoOne
	}
	m.X1 = points[i].Rate
	// The loss is linear: Sigma*(n-1) + Kappa*n*(n-1).
	var aa, ab, bb, al, bl float64
	more := 0
	for _, p := range points {
		if !(p.Rate > 0) || math.IsInf(p.Rate, 0) || p.Workers < 1 {
			return m, fmt.Errorf("%w: %g with %d workers", ErrRate, p.Rate, p.Workers)
		}
		if p.Workers == 1 {
			continue
		}
		more++
		a, b, l := float64(p.Workers-1), float64(p.Workers*(p.Workers-1)), loss(m.X1, p.Rate, p.Workers)
		aa, ab, bb, al, bl = aa+a*a, ab+a*b, bb+b*b, al+a*l, bl+b*l
	}
	if more < 2 {
		return m, fmt.Errorf("%d numbers of workers beside 1, and sigma and kappa need two: see FitTwo", more)
	}
	det := aa*bb - ab*ab
	if det > 0 {
		m.Sigma, m.Kappa = (al*bb-bl*ab)/det, (bl*aa-al*ab)/det
	}
	// Outside of what is possible the best is on the edge.
	switch {
	case m.Sigma < 0 || det <= 0:
		m.Sigma, m.Kappa = 0, max(0, bl/bb)
	case m.Kappa < 0:
		m.Sigma, m.Kappa = max(0, al/aa), 0
	}
	m.Sigma = min(m.Sigma, 1)
	return m, nil
}

// Median is that of values, 0 of none; and an interval in which the median of what they are
// samples of is with a probability of 90 % and more, as far as there are enough of them: the
// smallest and the largest of fewer than five.
func Median(values []float64) (median, low, high float64) {
	n := len(values)
	if n == 0 {
		return 0, 0, 0
	}
	x := slices.Clone(values)
	slices.Sort(x)
	median = (x[(n-1)/2] + x[n/2]) / 2
	// The median is below the k-th smallest if fewer than k are below the median.
	k, tail, term := 0, 0.0, math.Pow(0.5, float64(n))
	for tail+term <= 0.05 && k < n/2 {
		tail += term
		term *= float64(n-k) / float64(k+1)
		k++
	}
	k = max(k, 1)
	return median, x[k-1], x[n-k]
}
