package sugar

import (
	"testing"

	"github.com/sugarlabs/xo-backupd/test/bed"
)

// A child reads its own language; where nobody has translated it yet, English, in its
// own direction.
func TestLanguages(t *testing.T) {
	long(t)
	t.Parallel()
	for _, l := range []struct {
		lang, name string
		says       []string // the icon, the last backup, now, back, the panel's backend, its choice
	}{
		{"es_UY.UTF-8", "es", []string{"Copia en la escuela", "Última copia: hoy a las", "Guardar ahora", "Recuperar mi Diario", "Servidor de la escuela", "¿Qué copia quieres"}},
		{"ar_EG.UTF-8", "ar", []string{"School backup", "Last backup: today at", "Back up now", "Bring my Journal back", "School server", "Which backup"}},
	} {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			x, _, _ := pupil(t, 4)
			r, err := x.Job(t.Context(), "Backup")
			check(t, err)
			check(t, r.OK())
			s := shellFor(t, x, bed.ShellOptions{Screen: "800x600", Scaling: "100", Lang: l.lang})
			do(t, s, "frame "+l.says[0], "see "+l.says[1], "see "+l.says[2], "shoot frame-"+l.name,
				"click "+l.says[3], "shoot frame-confirm-"+l.name, "key F6")
			do(t, s, panel(restores, l.says[4], "see "+l.says[5], "shoot panel-which-"+l.name)...)
			calm(t, s)
		})
	}
}
