package main

import (
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

const manifest = "../../../docs/k8s/store.yaml"

// What the manifest may say. A field that is not here is a mistake, or is to be added.
type (
	labels   map[string]string
	selector struct{ MatchLabels labels }
	metadata struct {
		Name   string
		Labels labels
	}
	probe struct {
		Exec                                            struct{ Command []string }
		PeriodSeconds, TimeoutSeconds, FailureThreshold int
	}
	container struct {
		Name, Image string
		Args        []string
		Env         []struct {
			Name      string
			ValueFrom struct{ FieldRef struct{ FieldPath string } }
		}
		Ports []struct {
			Name          string
			ContainerPort int
			Protocol      string
		}
		StartupProbe, LivenessProbe, ReadinessProbe probe
		Resources                                   struct{ Requests, Limits map[string]string }
		SecurityContext                             map[string]any
		VolumeMounts                                []struct {
			Name, MountPath string
			ReadOnly        bool
		}
	}
	service struct {
		APIVersion, Kind string
		Metadata         metadata
		Spec             struct {
			ClusterIP                string
			PublishNotReadyAddresses bool
			Selector                 labels
			Ports                    []struct {
				Name, TargetPort, Protocol string
				Port                       int
			}
		}
	}
	statefulSet struct {
		APIVersion, Kind string
		Metadata         metadata
		Spec             struct {
			ServiceName         string
			Replicas            int
			PodManagementPolicy string
			UpdateStrategy      struct{ Type string }
			Selector            selector
			Template            struct {
				Metadata metadata
				Spec     struct {
					TerminationGracePeriodSeconds int
					SecurityContext               map[string]any
					Affinity                      struct {
						PodAntiAffinity struct {
							Required []struct {
								TopologyKey   string
								LabelSelector selector
							} `yaml:"requiredduringschedulingignoredduringexecution"`
						}
					}
					Containers []container
					Volumes    []struct {
						Name   string
						Secret struct{ SecretName string }
					}
				}
			}
			VolumeClaimTemplates []struct {
				Metadata metadata
				Spec     struct {
					AccessModes []string
					Resources   struct{ Requests map[string]string }
				}
			}
		}
	}
	budget struct {
		APIVersion, Kind string
		Metadata         metadata
		Spec             struct {
			MaxUnavailable int
			Selector       selector
		}
	}
)

// spellings has, of each field of a type and of those in it, how Kubernetes writes it, under
// the same in small letters.
func spellings(t reflect.Type, into map[string]string) {
	switch t.Kind() {
	case reflect.Slice:
		spellings(t.Elem(), into)
	case reflect.Struct:
		for f := range t.Fields() {
			name := strings.ToLower(f.Name[:1]) + f.Name[1:]
			if f.Name == "APIVersion" {
				name = "apiVersion"
			}
			if f.Tag != "" {
				name = "requiredDuringSchedulingIgnoredDuringExecution"
			}
			into[strings.ToLower(name)] = name
			spellings(f.Type, into)
		}
	}
}

// small puts the names of fields into small letters, as package yaml wants them, and returns
// those that were not written as Kubernetes writes them.
func small(n *yaml.Node, spelled map[string]string) (wrong []string) {
	for i, c := range n.Content {
		if low := strings.ToLower(c.Value); n.Kind == yaml.MappingNode && i%2 == 0 && spelled[low] != "" {
			if c.Value != spelled[low] {
				wrong = append(wrong, c.Value+" is to be written "+spelled[low])
			}
			c.Value = low
		}
		wrong = append(wrong, small(c, spelled)...)
	}
	return wrong
}

// lintManifest returns what is wrong with the manifest: with itself, or with msgr.
func lintManifest(text string) (problems []string) {
	var svc service
	var set statefulSet
	var pdb budget
	wrong := func(ok bool, what string) {
		if !ok {
			problems = append(problems, what)
		}
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	kinds := []string{}
	for {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return []string{err.Error()}
		}
		var head struct{ Kind string }
		_ = n.Decode(&head) // what it is decides how it is read
		kinds = append(kinds, head.Kind)
		into := map[string]any{"Service": &svc, "StatefulSet": &set, "PodDisruptionBudget": &pdb}[head.Kind]
		if into == nil {
			return []string{"kind " + head.Kind + " is not known here"}
		}
		spelled := map[string]string{}
		spellings(reflect.TypeOf(into).Elem(), spelled)
		problems = append(problems, small(&n, spelled)...)
		b, err := yaml.Marshal(&n)
		if err != nil {
			return []string{err.Error()}
		}
		strict := yaml.NewDecoder(strings.NewReader(string(b)))
		strict.KnownFields(true)
		if err := strict.Decode(into); err != nil {
			problems = append(problems, head.Kind+": "+err.Error())
		}
	}
	wrong(slices.Equal(kinds, []string{"Service", "StatefulSet", "PodDisruptionBudget"}),
		"there are not the three objects")
	pod := set.Spec.Template.Spec
	if len(pod.Containers) != 1 || len(svc.Spec.Ports) != 1 || len(pod.Containers[0].Ports) != 1 {
		return append(problems, "one container with one port is expected")
	}
	c := pod.Containers[0]
	podLabels := set.Spec.Template.Metadata.Labels
	selects := func(s labels, who string) {
		wrong(len(s) > 0, who+" selects everything")
		for k, v := range s {
			wrong(podLabels[k] == v, who+" selects "+k+"="+v+", which the pods do not have")
		}
	}
	wrong(svc.APIVersion == "v1" && set.APIVersion == "apps/v1" && pdb.APIVersion == "policy/v1",
		"an apiVersion is wrong")
	selects(svc.Spec.Selector, "the service")
	selects(set.Spec.Selector.MatchLabels, "the StatefulSet")
	selects(pdb.Spec.Selector.MatchLabels, "the budget")
	for _, a := range pod.Affinity.PodAntiAffinity.Required {
		selects(a.LabelSelector.MatchLabels, "the affinity")
	}
	wrong(set.Spec.ServiceName == svc.Metadata.Name, "serviceName is not the name of the service")
	wrong(svc.Spec.ClusterIP == "None" && svc.Spec.PublishNotReadyAddresses,
		"the service is not headless, or hides pods")
	wrong(svc.Spec.Ports[0].TargetPort == c.Ports[0].Name, "the service's targetPort is not the container's port")
	wrong(svc.Spec.Ports[0].Port == c.Ports[0].ContainerPort, "the ports differ")
	wrong(set.Spec.PodManagementPolicy == "Parallel", "the founders would wait for each other")
	wrong(pdb.Spec.MaxUnavailable == 1, "two copies of three may be taken away at once")
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, v := range set.Spec.VolumeClaimTemplates {
		volumes[v.Metadata.Name] = true
	}
	mounts := map[string]string{}
	for _, m := range c.VolumeMounts {
		wrong(volumes[m.Name], "the mount "+m.Name+" is of no volume")
		mounts[m.MountPath] = m.Name
	}

	// The command lines are those of msgr.
	for _, e := range c.Env {
		wrong(e.ValueFrom.FieldRef.FieldPath != "", "the variable "+e.Name+" has no value")
		problems = append(problems, setEnv(e.Name)...)
	}
	node, err := parseLine(c.Args)
	if err != nil {
		return append(problems, "args: "+err.Error())
	}
	n := node.Node
	_, port, _ := strings.Cut(n.Listen, ":")
	wrong(port == strconv.Itoa(c.Ports[0].ContainerPort), "--listen is not the container's port")
	var join []string
	for i := range set.Spec.Replicas {
		name := set.Metadata.Name + "-" + strconv.Itoa(i)
		join = append(join, name+"."+svc.Metadata.Name+":"+port)
		if i < 3 {
			wrong(len(n.Initial) == 3 && n.Initial[i] == name, "--initial is not the first three pods")
		}
	}
	wrong(len(n.Join) > 0 && len(n.Join) <= len(join) && slices.Equal(n.Join, join[:len(n.Join)]), "--join is not pods")
	wrong(mounts[n.Data] != "", "--data is not mounted")
	wrong(int(n.Grace.Seconds()) < pod.TerminationGracePeriodSeconds, "the pod is killed before --grace is over")
	dir, _, _ := strings.Cut(strings.TrimPrefix(n.SecretFile, "/"), "/")
	wrong(mounts["/"+dir] != "", "--secret-file is not mounted")
	for what, p := range map[string]probe{
		"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
		if len(p.Exec.Command) < 2 || p.Exec.Command[0] != "/msgr" || p.Exec.Command[1] != "status" {
			problems = append(problems, "the "+what+" probe does not ask msgr status")
			continue
		}
		line, err := parseLine(p.Exec.Command[1:])
		if err != nil {
			problems = append(problems, what+" probe: "+err.Error())
			continue
		}
		s := line.Status
		wrong(s.Ready == (what == "readiness"), "the "+what+" probe asks the wrong thing")
		wrong(slices.Equal(s.Join, []string{"127.0.0.1:" + port}), "the "+what+" probe asks somebody else")
		wrong(s.SecretFile == n.SecretFile, "the "+what+" probe has another secret")
		wrong(int(s.Timeout.Seconds()) < p.TimeoutSeconds, "the "+what+" probe is cut off before it can say why")
	}
	return problems
}

// parseLine parses a command line of msgr, without running it.
func parseLine(args []string) (*cli, error) {
	c := new(cli)
	p, err := kong.New(c, kong.Name("msgr"), kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
	if err == nil {
		_, err = p.Parse(args)
	}
	return c, err
}

// setEnv says whether msgr node knows a variable.
func setEnv(name string) []string {
	p, err := kong.New(new(cli), kong.Name("msgr"))
	if err != nil {
		return []string{err.Error()}
	}
	for _, n := range p.Model.Children {
		for _, f := range n.Flags {
			if n.Name == "node" && slices.Contains(f.Envs, name) {
				return nil
			}
		}
	}
	return []string{"msgr node does not know the variable " + name}
}

func TestManifest(t *testing.T) {
	t.Setenv("MSGR_NAME", "osd-0") // as the pod has it
	b, err := os.ReadFile(manifest)
	require.NoError(t, err)
	require.Empty(t, lintManifest(string(b)))

	// Each of these mistakes is found.
	for old, mistake := range map[string]string{
		"serviceName: osd":                    "serviceName: osds",
		"selector: {app: msgr-store}":         "selector: {app: store}",
		"port: 7000":                          "port: 7001",
		"targetPort: msgr":                    "targetPort: web",
		"clusterIP: None":                     "clusterIP: 10.0.0.1",
		"--initial=osd-0,osd-1,osd-2":         "--initial=osd-0,osd-1",
		"--join=osd-0.osd:7000":               "--join=osd-0.store:7000",
		"--data=/data":                        "--data=/var",
		"--stay":                              "--remain",
		"--grace=30s":                         "--grace=90s",
		"--listen=:7000":                      "--listen=:7070",
		"name: MSGR_NAME":                     "name: MSGR_NODE",
		"livenessProbe:":                      "livenesProbe:",
		"readinessProbe:":                     "readinessprobe:",
		"[/msgr, status, --ready":             "[/msgr, status",
		"/msgr, status, --ready":              "/msgr, health, --ready",
		"--secret-file=/secret/key]":          "--secret-file=/etc/key]",
		"matchLabels: {app: msgr-store}\n":    "matchLabels: {app: other}\n",
		"maxUnavailable: 1":                   "maxUnavailable: 2",
		"- {name: data, mountPath: /data}":    "- {name: disk, mountPath: /data}",
		"terminationGracePeriodSeconds: 60":   "terminationGracePeriodSeconds: 20",
		"podManagementPolicy: Parallel":       "podManagementPolicy: OrderedReady",
		"apiVersion: policy/v1":               "apiVersion: policy/v1beta1",
		"- {name: msgr, containerPort: 7000,": "- {name: msgr, containerPort: 7001,",
	} {
		require.Contains(t, string(b), old)
		require.NotEmpty(t, lintManifest(strings.Replace(string(b), old, mistake, 1)), "%s", mistake)
	}
}
