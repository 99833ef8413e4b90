// Loads a compose file the way docker compose does and prints the result as JSON: variables filled in, anchors merged,
// references between services checked; of all profiles, or of those in COMPOSE_PROFILES. The plain JSON schema misses
// undefined depends_on and unset variables.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
)

func load(files []string) ([]byte, error) {
	profiles := "*"
	if told := os.Getenv("COMPOSE_PROFILES"); told != "" {
		profiles = told
	}
	options, err := cli.NewProjectOptions(files, cli.WithOsEnv, cli.WithProfiles(strings.Split(profiles, ",")))
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return project.MarshalJSON()
}

func main() {
	model, err := load(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(model))
}
