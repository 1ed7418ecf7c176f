package transfer

import (
	"path"
	"strings"
)

// ourArgs is what our own client asks a sender for: times and permissions of
// files and folders, all the way down. No owners, links or devices.
var ourArgs = []string{"--server", "--sender", "-rtp", ".", "./"}

// Options of a stock client that gokrazy's sender knows how to serve. Others
// change the protocol under its feet (-z, -H, --numeric-ids) or would be
// silently ignored.
const shortOptions = "vqlogDtprcnIudW"

var longOptions = map[string]bool{
	"--server": true, "--sender": true,
	"--no-r": true, "--no-t": true, "--dirs": true, "--no-inc-recursive": true,
	"--whole-file": true, "--no-whole-file": true, "--no-W": true,
}

// ParseArgs takes apart the arguments of a stock client's command
// "rsync --server --sender …" (without the word rsync), and refuses whatever
// would not just read. The path is cleaned, relative, without ".."; dir says
// that it ended in a slash: the folder's contents are wanted, not the folder.
func ParseArgs(args []string) (options []string, name string, dir bool, err error) {
	server, sender := false, false
	var rest []string
	for _, arg := range args {
		switch {
		case len(rest) > 0 || arg == "." || !strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
			continue
		case strings.HasPrefix(arg, "--"):
			// A number that only concerns the client, or how patient it is.
			word, _, _ := strings.Cut(arg, "=")
			if !longOptions[arg] && word != "--timeout" && word != "--bwlimit" {
				return nil, "", false, refusef("rsync's option %s is not supported", quote(arg))
			}
			server = server || arg == "--server"
			sender = sender || arg == "--sender"
			if word == "--timeout" || word == "--bwlimit" || strings.HasPrefix(arg, "--no-") {
				continue // means nothing to us
			}
		default:
			short, err := shorts(arg)
			if err != nil {
				return nil, "", false, err
			}
			arg = short
		}
		if arg != "-" {
			options = append(options, arg)
		}
	}
	if !server || !sender {
		return nil, "", false, refusef("rsync may only read here")
	}
	if len(rest) != 2 || rest[0] != "." {
		return nil, "", false, refusef("rsync asks for %d paths, not one", max(0, len(rest)-1))
	}
	name, dir, err = cleanPath(rest[1])
	return options, name, dir, err
}

// shorts checks letters like -logDtpre.iLsfxCIvu and leaves out what means
// nothing to us: behind e, what the client is able to.
func shorts(arg string) (string, error) {
	letters, _, _ := strings.Cut(arg[1:], "e.")
	var kept strings.Builder
	kept.WriteByte('-')
	for _, c := range letters {
		if !strings.ContainsRune(shortOptions, c) {
			return "", refusef("rsync's option -%s is not supported", string(c))
		}
		// Verbosity makes gokrazy's sender say nothing that anybody reads.
		if !strings.ContainsRune("vquW", c) {
			kept.WriteRune(c)
		}
	}
	return kept.String(), nil
}

func cleanPath(p string) (name string, dir bool, err error) {
	dir = p == "" || p == "." || strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.")
	if len(p) > maxName || strings.ContainsAny(p, "\x00*?[") || strings.HasPrefix(p, "/") {
		return "", false, refusef("%s: not a path here", quote(p))
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return "", false, refusef("%s: not a path here", quote(p))
		}
	}
	return path.Clean(p), dir, nil
}
