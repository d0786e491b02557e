package edge

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// A rule that loads and can never match is worse than a refused one: its requests silently go elsewhere. The
// checks below refuse such arguments. They accept meaningful forms of Traefik 2, with Traefik 2's meaning
// (template.go).

func notEmpty(arg string) error {
	if arg == "" {
		return errors.New("the argument is empty")
	}
	return nil
}

func checkHost(i int, args []string) error {
	host := args[i]
	if host == "" {
		return errors.New("the host name is empty")
	}
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f {
			return fmt.Errorf("%q is not an ASCII host name: write other alphabets in their xn-- form", host)
		}
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return nil
	}
	switch {
	case strings.Contains(host, "://"):
		return fmt.Errorf("%q is an address: write its host alone", host)
	case strings.ContainsAny(host, `{}*/^$()|\+?[]`):
		return fmt.Errorf("%q is a pattern: use HostRegexp", host)
	case strings.Contains(host, ","):
		return fmt.Errorf("%q names several hosts: write each as an argument of its own", host)
	case strings.Contains(host, ":"):
		return fmt.Errorf("%q names a port: rules compare the name alone", host)
	}
	if other := strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789-._"); other != "" {
		return fmt.Errorf("%q is not a host name", host)
	}
	return nil
}

func checkHostRegexp(i int, args []string) error {
	if pattern := args[i]; isTemplate(pattern) {
		return checkTemplate(pattern, inHost)
	}
	return checkRegexp(i, args)
}

func checkPath(i int, args []string) error {
	path := args[i]
	if err := checkPathPrefix(i, args); err != nil {
		return err
	}
	if strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") {
		return neverClean(path)
	}
	return nil
}

func checkPathPrefix(i int, args []string) error {
	path := args[i]
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("%q does not start with /", path)
	}
	if isTemplate(path) {
		return checkTemplate(path, inPath)
	}
	switch {
	case strings.ContainsAny(path, "?#"):
		return fmt.Errorf("%q is more than a path: use Query for what comes after ?", path)
	case strings.Contains(path, `\`):
		return fmt.Errorf(`%q contains \, which no path does: write %%5C`, path)
	case strings.Contains(path, "//") || strings.Contains(path, "/./") || strings.Contains(path, "/../"):
		return neverClean(path)
	}
	return nil
}

func neverClean(path string) error {
	return fmt.Errorf("%q never matches: paths are cleaned before rules see them", path)
}

func checkMethod(i int, args []string) error {
	method := args[i]
	switch {
	case method == "":
		return notEmpty(method)
	case strings.ContainsAny(method, "|, "):
		return fmt.Errorf("%q names several methods: write each as an argument of its own", method)
	case !httpguts.ValidHeaderFieldName(method): // methods and names of headers have the same syntax
		return fmt.Errorf("%q is not a method", method)
	}
	return nil
}

// checkHeader refuses a value that no header can have, because the matcher compares it literally.
func checkHeader(i int, args []string) error {
	if i == 0 {
		return checkHeaderName(args[0])
	}
	if value := args[1]; strings.TrimSpace(value) != value || !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("%q is not the value of a header: those have no blanks around them and no control characters", value)
	}
	return nil
}

func checkHeaderRegexp(i int, args []string) error {
	if i == 0 {
		return checkHeaderName(args[0])
	}
	return checkRegexp(i, args)
}

func checkHeaderName(name string) error {
	switch strings.ToLower(name) {
	case "":
		return notEmpty(name)
	case "host":
		return errors.New("the header Host is matched by Host and HostRegexp")
	case "transfer-encoding", "trailer":
		return fmt.Errorf("the header %s belongs to the connection: rules do not see it", name)
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not the name of a header", name)
	}
	return nil
}

// isPair reports whether an argument has the form of Traefik 2, Query(`key=value`), not of Traefik 3.
func isPair(arg string) bool { return strings.Index(arg, "=") > 0 }

func checkQuery(i int, args []string) error {
	switch arg := args[i]; {
	case !isPair(args[0]):
		if i == 0 {
			return checkQueryKey(args[0])
		}
		return nil
	case !isPair(arg):
		return fmt.Errorf("%q is not key=value, as the other arguments are", arg)
	default:
		_, value, _ := strings.Cut(arg, "=")
		return checkTemplate(value, inQuery)
	}
}

func checkQueryKey(key string) error {
	if strings.ContainsAny(key, "=&?#") {
		return fmt.Errorf("%q is not the name of a parameter", key)
	}
	return notEmpty(key)
}

func checkQueryRegexp(i int, args []string) error {
	if i == 0 {
		return checkQueryKey(args[0])
	}
	return checkRegexp(i, args)
}

func checkRegexp(i int, args []string) error {
	if _, err := regexp.Compile("(?i)" + args[i]); err != nil {
		return err
	}
	_, err := regexp.Compile(args[i])
	return err
}

func checkRange(i int, args []string) error {
	_, err := ParseRange(args[i])
	return err
}
