"""Score a folder of KITTI result files against a folder of labels."""

import argparse
import json
from pathlib import Path

from lvt_dense.commands.cli import command


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', help='folder of 16-field result files')
    parser.add_argument('labels', help='folder of label files, label_2')
    parser.add_argument('--out', type=Path, help='write all figures as JSON')
    parser.add_argument(
        '--ids', help='list of the frames to score, such as val.txt'
    )
    parser.add_argument(
        '--missing-as-empty',
        action='store_true',
        help='count frames without result file as without detections',
    )
    parser.add_argument(
        '--overlaps',
        choices=['strict', 'loose'],
        default='strict',
        help='IoU 0.7/0.5/0.5 for Car/Pedestrian/Cyclist, or 0.5/0.25/0.25 '
        'for BEV and 3D (default: strict)',
    )
    return parser.parse_args()


@command
def main() -> None:
    """Read both folders, score, print the table, write the file."""
    args = parse_args()
    from lvt_dense.compat import import_stack
    from lvt_dense.files import write_atomically

    import_stack()
    from lvt_dense.evaluation.kitti.average_precision import (
        evaluate_kitti,
        round_scores,
    )
    from lvt_dense.evaluation.kitti.metric import describe_small_counts
    from lvt_dense.evaluation.kitti.results import format_table, read_folders

    labels, results = read_folders(
        args.results, args.labels, args.ids, args.missing_as_empty
    )
    scores = evaluate_kitti(labels, results, args.overlaps)
    print(f'{len(labels)} frames, {args.overlaps} overlaps')
    print(format_table(scores))
    if note := describe_small_counts(labels):
        print(note)
    if args.out:
        report = dict(
            frames=len(labels),
            overlaps=args.overlaps,
            ap=round_scores(scores),
        )
        write_atomically(args.out, json.dumps(report, indent=1) + '\n')


if __name__ == '__main__':
    main()
