# What the pre-trainings on LibriSpeech share: options, stages 0 and 1, units of every split. Sourced from the project's root,
# before `begin`; then `$size` names the file of numbers, and `$data` must be set before `corpus_stages`.
. tools/stages.sh
size=full corpus= phones= thin=
option() {
  case $1 in
    --excerpt|--toy) size=${1#--} shifted=1 ;;
    --corpus-dir) [ -n "${2:-}" ] || die "--corpus-dir takes a folder"; corpus=$(place "$2") shifted=2 ;;
    --every) [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || die "--every takes a number from 1"; thin=$2 shifted=2 ;;
    --phones) [ -n "${2:-}" ] || die "--phones takes a CTM file"; phones=$(place "$2") shifted=2 ;;
    *) return 1 ;;
  esac
}

# corpus_stages: stages 0 and 1, cuts in $data
corpus_stages() {
  if stage 0 "download"; then
    if [ -n "$corpus" ]; then
      echo "--corpus-dir is given: nothing to download"
    elif [ $size = full ]; then
      lhotse download librispeech --full data/librispeech
    else
      die "--$size needs --corpus-dir DIR"
    fi
    done_stage
  fi
  corpus=${corpus:-data/librispeech}
  if stage 1 "manifests, validation speakers, length index"; then
    [ -f "$data/.done" ] || python egs/librispeech/hubert/local/prepare.py --corpus-dir "$corpus" --out "$data" \
      --every ${thin:-$every} ${phones:+--phones "$phones"}
    touch "$data/.done"
    done_stage
  fi
}

# units OUT TOKENIZER: units of every split
units() {
  local cuts=()
  for split in train valid test; do
    if [ -f "$data/cuts_$split.jsonl.gz" ]; then cuts+=("cuts.$split=$data/cuts_$split.jsonl.gz"); fi
  done
  recipe extract_units out="$1" tokenizer="$2/tokenizer" "${cuts[@]}" "${@:3}"
}
