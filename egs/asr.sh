# What the recognisers of egs/*/asr share: options, and all stages after that of the data. Sourced from the project's root,
# before `begin`. Before `asr_stages` the caller sets
#   exp, data             folders; cuts are $data/cuts_<split>.jsonl.gz
#   splits, scored        all of them, and those that are recognised; train_on INPUT prints the data.train that it learns from
#   valid                 the split that training watches
#   configs, small, gpu   of trainings; what is laid over the input, for small machines; for recipes that take a device
#   text, pieces          file of conf/text, and symbols of text
#   layer, clusters, subwords, kind, alpha    k-means of a layer of --encoder, and subwords of its units (kind: file of conf/units), drawn by alpha
#   score, fit            more arguments of recognise, and of fit_units
. tools/stages.sh
stages=7 size=full corpus= encoder= tokenizer= chosen= lm= arpa= inputs=() small=() gpu=() score=() fit=()
option() {
  case $1 in
    --toy) size=toy shifted=1 ;;
    --corpus-dir) [ -n "${2:-}" ] || die "--corpus-dir takes a folder"; corpus=$(place "$2") shifted=2 ;;
    --encoder) [ -n "${2:-}" ] || die "--encoder takes the folder of an encoder"; encoder=$(place "$2") shifted=2 ;;
    --tokenizer) [ -n "${2:-}" ] || die "--tokenizer takes the folder of a tokenizer"; tokenizer=$(place "$2") shifted=2 ;;
    --input)
      [[ ${2:-} =~ ^(units|units_bpe|fbank|features|cached_features)$ ]] ||
        die "--input takes units_bpe, units, fbank, features or cached_features"
      inputs+=("$2") shifted=2 ;;
    --layer) [[ ${2:-} =~ ^[0-9]+$ ]] || die "--layer takes a number from 0"; chosen=$2 shifted=2 ;;
    --lm) [[ ${2:-} =~ ^(ngram|words)$ ]] || die "--lm takes ngram or words"; lm=$2 shifted=2 ;;
    --arpa) arpa=$(place "${2:-}"); [ -f "$arpa" ] || die "--arpa takes an ARPA file"; shifted=2 ;;
    *) more_options "$@" ;;
  esac
}
more_options() { return 1; }  # the caller's own
train_on() { echo "data.train=$(cuts "$1" train)"; }

# hears PATTERN: whether an input has such a name
hears() { [[ " ${inputs[*]} " =~ \ ($1)\  ]]; }

# cuts INPUT SPLIT: the manifest that an input reads
cuts() {
  case $1 in
    units*) echo "$exp/units/$2.jsonl.gz" ;;
    cached_features) echo "$exp/features/$2.jsonl.gz" ;;
    *) echo "$data/cuts_$2.jsonl.gz" ;;
  esac
}

# of_all PREFIX: an argument for each split's cuts
of_all() { for split in "${splits[@]}"; do echo "$1.$split=$data/cuts_$split.jsonl.gz"; done; }

# what is given with --input, before anything is made
check_inputs() {
  layer=${chosen:-$layer}
  [ ${#inputs[@]} -gt 0 ] || inputs=(units_bpe)
  [ "$last" -lt 1 ] || ! hears 'units.*' || [ -n "$tokenizer$encoder" ] ||
    die "--input ${inputs[*]} needs --tokenizer DIR (what fit_units saved), or --encoder DIR to cluster layer $layer of"
  [ -z "$arpa" ] || [ "$lm" = words ] || die "--arpa is for --lm words"
  [ "$last" -lt 1 ] || ! hears '.*features' || [ -n "$encoder" ] || die "--input ${inputs[*]} needs --encoder DIR"
}

# asr INPUT: train one recogniser
asr() {
  local given=()
  case $1 in
    units_bpe)
      given=(data.fields.units.steps.subwords.folder="$exp/subwords/subwords" data.fields.units.steps.subwords.changes.alpha=$alpha) ;;
    features) given=(model.input.encoder.folder="$encoder") ;;
  esac
  recipe train "${configs[@]}" "conf/input/$1.yaml" "${small[@]}" out="$exp/$1" $(train_on "$1") \
    data.valid="$(cuts "$1" "$valid")" data.fields.text.tokenizer.folder="$exp/text/text" "${given[@]}" "${overrides[@]}"
}

asr_stages() {
  local found
  if stage 1 "k-means on layer $layer"; then
    if ! hears 'units.*'; then echo "${inputs[*]}: no units are heard"
    elif [ -n "$tokenizer" ]; then echo "--tokenizer is given: nothing to cluster"
    else
      recipe fit_units conf/units/kmeans.yaml out="$exp/km" cuts="$(train_cuts)" features.source.folder="$encoder" \
        features.read=layer:$layer fitter.size=$clusters "${fit[@]}" "${gpu[@]}"
    fi
    done_stage
  fi
  if stage 2 "units and vectors of every split"; then
    if hears 'units.*'; then
      recipe extract_units out="$exp/units" tokenizer="${tokenizer:-$exp/km/tokenizer}" $(of_all cuts) "${gpu[@]}"
    fi
    if hears cached_features; then
      recipe extract_features conf/features/layer.yaml out="$exp/features" features.source.folder="$encoder" \
        features.read=layer:$layer $(of_all cuts) "${gpu[@]}"
    fi
    done_stage
  fi
  if stage 3 "subwords of units"; then
    if hears units_bpe; then
      recipe fit_unit_bpe conf/units/$kind.yaml out="$exp/subwords" cuts="$(train_cuts units)" subwords.size=$subwords
    fi
    done_stage
  fi
  if stage 4 "pieces of text"; then
    recipe fit_text "$text" out="$exp/text" cuts="$(text_cuts)" ${pieces:+tokenizer.size=$pieces}
    done_stage
  fi
  if stage 5 "train recognisers that hear ${inputs[*]}"; then
    for found in "${inputs[@]}"; do asr "$found"; done
    done_stage
  fi
  local search=()
  if [ "$lm" = ngram ]; then
    search=(conf/search/joint_beam.yaml conf/search/ngram.yaml model.search.fusion.lm.folder="$exp/lm/ngram")
  elif [ "$lm" = words ]; then
    search=(conf/search/lattice.yaml model.search.graph="$exp/words/graph")
  fi
  if stage 6 "language model${lm:+: $lm}"; then
    case $lm in
      ngram) recipe fit_ngram out="$exp/lm" cuts="$(said_cuts)" order=6 tokenizer="$exp/text/text" ;;
      words)
        [ -n "$arpa" ] || recipe fit_ngram out="$exp/lm_words" cuts="$(said_cuts)" order=3
        recipe compile_graph out="$exp/words" tokenizer="$exp/text/text" arpa="${arpa:-$exp/lm_words/lm.arpa}" ;;
      *) echo "no --lm: nothing to make" ;;
    esac
    done_stage
  fi
  if stage 7 "recognise and score"; then
    local systems=() out
    for found in "${inputs[@]}"; do
      systems+=("systems.$found.folder=$exp/$found/asr")
      for split in "${scored[@]}"; do systems+=("systems.$found.cuts.$split=$(cuts "$found" "$split")"); done
    done
    out=$(recognised)
    recipe recognise "${search[@]}" out="$out" "${systems[@]}" "${score[@]}" "${gpu[@]}"
    cp "$out/results.json" "$exp/results.json"
    done_stage
    echo "$name took $((SECONDS - begun)) s: see $exp/results.json"
  fi
}

# recognised: the folder of stage 7
recognised() { local IFS=+; echo "$exp/recognised-${inputs[*]}${lm:+-$lm}"; }

# train_cuts [INPUT]: all training manifests, as one list
train_cuts() { train_on "${1:-fbank}" | sed 's/^[^=]*=//; s/^\[//; s/\]$//' | paste -sd, | sed 's/.*/[&]/'; }

# said_cuts: what language models count, every utterance once
said_cuts() { train_cuts; }

# text_cuts: where the pieces of text are from; a few utterances lack letters of the others
text_cuts() {
  if [ "$size" = toy ]; then printf '%s\n' "${splits[@]/#/"$data/cuts_"}" | sed 's/$/.jsonl.gz/' | paste -sd, | sed 's/.*/[&]/'
  else said_cuts; fi
}
