// Package deploy holds what runs etude and the real stack in containers: the
// images' build files and the script that starts an engine in CI. It has no
// code of its own; its tests check the compose files of the repository's root
// and the configuration files of conf/ against each other, and start the
// compose file in which etude plays every part.
package deploy
