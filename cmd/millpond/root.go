package main

import "github.com/spf13/cobra"

func newRootCommand() *cobra.Command {
	root := &cobra.Command{Use: "millpond", Short: "Deno KV that you run yourself", SilenceUsage: true}
	root.AddCommand(newServeCommand())
	return root
}
