package browse

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// extensions are the endings of files by their MIME type, from the shared MIME
// database, as Sugar reads it (sugar3.mime): the first of a type counts.
type extensions struct {
	dirs []string
	once sync.Once
	of   map[string]string
}

// newExtensions reads the folders of XDG's data, the user's own first.
func newExtensions(getenv func(string) string) *extensions {
	home := getenv("XDG_DATA_HOME")
	if home == "" {
		home = filepath.Join(getenv("HOME"), ".local/share")
	}
	shared := getenv("XDG_DATA_DIRS")
	if shared == "" {
		shared = "/usr/local/share:/usr/share"
	}
	return &extensions{dirs: append([]string{home}, strings.Split(shared, ":")...)}
}

// get answers ".png" for image/png, "" for what it does not know.
func (e *extensions) get(mimeType string) string {
	e.once.Do(e.read)
	if ending, ok := e.of[mimeType]; ok {
		return "." + ending
	}
	return ""
}

func (e *extensions) read() {
	e.of = map[string]string{"audio/ogg": "ogg", "video/ogg": "ogg"} // as Sugar has it
	for _, dir := range e.dirs {
		f, err := os.Open(filepath.Join(dir, "mime/globs"))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			kind, ending, ok := strings.Cut(lines.Text(), ":*.")
			if _, known := e.of[kind]; ok && !known && !strings.ContainsAny(ending, "/*?[") {
				e.of[kind] = ending
			}
		}
		f.Close()
	}
}
