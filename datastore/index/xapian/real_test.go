package xapian

import (
	"bufio"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
)

// For more cases by hand: go test -cases 1000000 -seed 7
var (
	casesFlag = flag.Int("cases", 0, "how many generated cases each test asks the real Xapian, in place of its own number")
	seedFlag  = flag.Uint64("seed", 1, "what the cases are generated from")
)

func cases(own int) int {
	if *casesFlag > 0 {
		return *casesFlag
	}
	return own
}

func random() *rand.Rand { return rand.New(rand.NewPCG(*seedFlag, 0)) }

// question and answer are the lines of testdata/real.py.
type question struct {
	Text    *[]byte      `json:"text,omitempty"`
	Query   *[]byte      `json:"query,omitempty"`
	Entries [][]property `json:"entries,omitempty"`
	Queries [][]byte     `json:"queries,omitempty"`
}

type property struct {
	Field string `json:"field"`
	Value []byte `json:"value"`
}

type answer struct {
	Terms []string `json:"terms"`
	Tree  string   `json:"tree"`
	Error string   `json:"error"`
	Found [][]int  `json:"found"`
}

// askXapian puts each question to the real Xapian. Neither questions nor answers
// are held in memory.
func askXapian(t *testing.T, questions func(ask func(question)), check func(answer)) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "testdata/real.py")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	go func() {
		defer in.Close()
		buffered := bufio.NewWriterSize(in, 1<<16)
		encoder := json.NewEncoder(buffered)
		questions(func(q question) { _ = encoder.Encode(q) })
		_ = buffered.Flush()
	}()
	decoder := json.NewDecoder(bufio.NewReaderSize(out, 1<<16))
	for {
		var a answer
		if err := decoder.Decode(&a); err == io.EOF {
			break
		} else if err != nil {
			t.Error(err)
			break
		}
		check(a)
	}
	must(t, cmd.Wait())
}

// askEach generates n cases and asks about each.
func askEach(t *testing.T, n int, generate func(i int) string, ask func(s string) question, check func(s string, a answer)) {
	t.Helper()
	asked := make(chan string, 1<<14)
	askXapian(t, func(put func(question)) {
		defer close(asked)
		for i := range n {
			s := generate(i)
			put(ask(s))
			asked <- s
		}
	}, func(a answer) {
		s, ok := <-asked
		if !ok {
			t.Fatal("more answers than questions")
		}
		check(s, a)
	})
	for range asked {
		t.Error("a question without an answer")
		return
	}
}

func askText(s string) question  { b := []byte(s); return question{Text: &b} }
func askQuery(s string) question { b := []byte(s); return question{Query: &b} }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
