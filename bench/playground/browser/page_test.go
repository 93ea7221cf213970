package browser

import (
	"testing"
)

func TestPictures(t *testing.T) {
	url := mock(t)
	phone := size{width: 390, height: 844, mobile: true}
	for _, c := range []struct {
		name string
		size size
	}{
		{"light", desktop}, {"dark", size{width: 1440, height: 900, dark: true}},
		{"phone-light", phone}, {"phone-dark", size{width: 390, height: 844, mobile: true, dark: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := open(t, url, c.size).ready()
			p.until(`parseFloat(document.getElementById("clock").textContent) > 0.2`)
			p.picture("mock-" + c.name)
			p.clean()
		})
	}
}
