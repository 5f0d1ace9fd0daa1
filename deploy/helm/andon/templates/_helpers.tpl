{{/* The lines by name: one where none is given. Argument: root. */}}
{{- define "andon.lines" -}}
{{- .Values.lines | default (dict "line" dict) | toYaml -}}
{{- end }}

{{/* The values of a line: those given, over the defaults. Argument: [root, name]. */}}
{{- define "andon.line" -}}
{{- $root := index . 0 -}}
{{- $given := get (include "andon.lines" $root | fromYaml) (index . 1) | default dict -}}
{{- mergeOverwrite (deepCopy $root.Values.defaults) $given | toYaml -}}
{{- end }}

{{/* The name of what belongs to a line. Argument: [root, line, component]. */}}
{{- define "andon.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s-%s" ($root.Release.Name | trunc 24 | trimSuffix "-") (index . 1) (index . 2) -}}
{{- end }}

{{/* Labels by which pods are chosen. Argument: [root, line, component]. */}}
{{- define "andon.selector" -}}
app.kubernetes.io/name: andon
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 2 }}
andon/line: {{ index . 1 }}
{{- end }}

{{/* All labels. Argument: [root, line, component]. */}}
{{- define "andon.labels" -}}
{{ include "andon.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ (index . 0).Chart.Name }}-{{ (index . 0).Chart.Version }}
{{- end }}

{{/* The name of a topic of a line. Argument: [values of the line, line, purpose]. */}}
{{- define "andon.topic" -}}
{{- get (index . 0).topics (index . 2) | default (printf "%s.%s" (index . 1) (index . 2)) -}}
{{- end }}

{{/* The settings of a line, as the programs read them. Argument: [root, values of the line, line]. */}}
{{- define "andon.settings" -}}
{{- $root := index . 0 -}}{{- $line := index . 1 -}}{{- $name := index . 2 -}}
{{- $at := printf "kafka://%s/" $root.Values.kafka.servers -}}
{{- $topic := dict -}}
{{- range list "frames" "verdicts" "dead-letters" "defects" "labels" "parts" "models" -}}
{{- $_ := set $topic . (printf "%s%s" $at (include "andon.topic" (list $line $name .))) -}}
{{- end -}}
{{- $settings := dict
    "source" (dict "uri" (get $topic "frames"))
    "output" (dict "verdicts" (get $topic "verdicts") "dead_letters" (get $topic "dead-letters") "evidence" (get $topic "defects"))
    "kafka" (mergeOverwrite (dict "group_id" (printf "andon-%s" $name)) (deepCopy $root.Values.kafka.settings))
    "server" (dict "address" "0.0.0.0")
    "statistics" (dict "state_file" "/state/charts.json")
    "logging" (dict "format" "json") -}}
{{- if $line.recipes -}}
{{- $_ := set $settings "recipes" $line.recipes -}}
{{- else -}}
{{- $_ := set $settings "model" (dict "path" (printf "/models/%s" $line.model)) -}}
{{- end -}}
{{- if $root.Values.models.shared -}}
{{- $shared := dict "topic" (get $topic "models") "shared" "/shared" -}}
{{- $_ := set $settings "model" (mergeOverwrite ($settings.model | default dict) $shared) -}}
{{- end -}}
{{- if $line.parts.enabled -}}
{{- $_ := set $settings.output "parts" (get $topic "parts") -}}
{{- end -}}
{{- if $line.review.enabled -}}
{{- $review := dict "store" "/state" "defects" (get $topic "defects") "verdicts" (get $topic "verdicts") "labels" (get $topic "labels")
    "address" "0.0.0.0" "users_file" "/users/users" -}}
{{- if $line.parts.enabled -}}{{- $_ := set $review "parts" (get $topic "parts") -}}{{- end -}}
{{- if $line.review.hosts -}}{{- $_ := set $review "hosts" (append $line.review.hosts "localhost") -}}{{- end -}}
{{- $_ := set $settings "review" $review -}}
{{- end -}}
{{- mergeOverwrite $settings (deepCopy $line.settings) | toYaml -}}
{{- end }}

{{- define "andon.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* What all pods have in common, but for their containers. */}}
{{- define "andon.pod" -}}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "andon.container" -}}
image: {{ include "andon.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "andon.password" -}}
- name: ANDON_KAFKA_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ .Values.kafka.passwordSecret }}, key: password, optional: true}}
{{- end }}

{{/* Mounts and volumes of the files for Kafka, if there are any. */}}
{{- define "andon.kafkaMount" -}}
{{- if or .Values.kafka.filesSecret .Values.kafka.filesConfigMap }}
- {name: kafka, mountPath: /kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "andon.kafkaVolume" -}}
{{- if or .Values.kafka.filesSecret .Values.kafka.filesConfigMap }}
- name: kafka
  projected:
    sources:
      {{- with .Values.kafka.filesSecret }}
      - secret: {name: {{ . }}}
      {{- end }}
      {{- with .Values.kafka.filesConfigMap }}
      - configMap: {name: {{ . }}}
      {{- end }}
{{- end }}
{{- end }}
