package bed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// language makes what a shell needs to speak another language than C: what we say,
// compiled, and the C library's locale, which Debian makes for those who ask for it.
func (s *Shell) language(ctx context.Context, sources string) error {
	if err := os.MkdirAll(s.locales(), 0o700); err != nil {
		return err
	}
	commands := [][]string{{filepath.Join(sources, "../scripts/po.sh"), "compile", s.translations()}}
	if name, codeset, _ := strings.Cut(s.Options.Lang, "."); name != "C" {
		commands = append(commands, []string{"localedef", "-i", name, "-f", codeset, filepath.Join(s.locales(), s.Options.Lang)})
	}
	for _, words := range commands {
		if out, err := s.XO.Command(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", words[0], err, out)
		}
	}
	return nil
}

func (s *Shell) translations() string { return filepath.Join(s.Dir, "translations") }

func (s *Shell) locales() string { return filepath.Join(s.Dir, "locales") }

// spoken is the environment of a program that speaks the shell's language.
func (s *Shell) spoken() []string {
	name, _, _ := strings.Cut(s.Options.Lang, ".")
	return []string{"LANG=" + s.Options.Lang, "LANGUAGE=" + name, "LOCPATH=" + s.locales(), "TEXTDOMAINDIR=" + s.translations()}
}
